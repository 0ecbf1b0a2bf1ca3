"""The soak, short: mixed load with random cancels leaves nothing behind."""

import subprocess
import sys

import pytest
from support.tree import ROOT

DEADLINE_S = 400.0
"""Its minute, the start, and the rests between the rounds, on a machine that is busy."""


@pytest.mark.slow
@pytest.mark.native
def test_a_minute_of_mixed_load_leaves_everything_as_before():
    done = subprocess.run(
        (sys.executable, str(ROOT / "benchmarks" / "soak"), "--minutes", "1"),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout
    assert "Everything is as before." in done.stdout
