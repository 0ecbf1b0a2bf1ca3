"""Drafts of models and of draft heads: ``make bench ARGS=benchmarks/drafting``."""
