"""Runs the measurement from a checkout: ``python benchmarks/drafting``."""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / "benchmarks"), str(_ROOT / "tests")]

from drafting.command import main  # noqa: E402  # path first

if __name__ == "__main__":
    main(_ROOT)
