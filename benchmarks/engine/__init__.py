"""Our engine against llama-server at the same commit: ``make bench-engine``."""
