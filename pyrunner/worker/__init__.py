"""The process that owns one loaded model."""
