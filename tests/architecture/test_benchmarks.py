"""Each measurement starts as the Makefile starts it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.native  # some import the extension
_ROOT = Path(__file__).resolve().parents[2]
_COMMANDS = [
    *sorted((_ROOT / "benchmarks").glob("*.py")),
    *sorted(each.parent for each in (_ROOT / "benchmarks").glob("*/__main__.py")),
]


@pytest.mark.parametrize("command", _COMMANDS, ids=lambda path: path.name)
def test_measurement_says_what_it_does(command: Path) -> None:
    # -P: the Makefile keeps the folder of a script off the import path.
    done = subprocess.run(
        [sys.executable, "-P", command, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
