"""How fast models move, and how little memory that takes: ``make bench-distribution``."""
