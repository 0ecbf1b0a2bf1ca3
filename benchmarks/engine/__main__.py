"""Runs the race from a checkout: ``python benchmarks/engine``."""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / "benchmarks"), str(_ROOT / "tests")]

from engine.command import main  # noqa: E402  # path first

if __name__ == "__main__":
    main(_ROOT)
