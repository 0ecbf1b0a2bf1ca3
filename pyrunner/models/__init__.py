"""Model artifacts: GGUF headers, the content store, pull, push and package."""
