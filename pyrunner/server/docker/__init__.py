"""Docker Model Runner's API: models and their transfers, engines, logs."""
