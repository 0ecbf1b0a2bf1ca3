"""Runs the soak from a checkout: ``python benchmarks/soak``."""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / "benchmarks")]

from soak.command import main  # noqa: E402  # path first

if __name__ == "__main__":
    sys.exit(main())
