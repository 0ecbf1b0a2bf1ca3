"""``make bench-distribution`` on models of a few MiB: every row is there, and nothing stays.

No figure is looked at: they mean nothing at such sizes and beside other tests.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import processes_below, wait_until
from support.programs import require
from support.tree import ROOT

pytestmark = pytest.mark.slow

NEEDED = ("skopeo", "docker-registry")
DEADLINE_S = 300.0
SMALL = ("--size-mib", "3", "--shaped-mib", "3", "--pairs", "1", "--latency-ms", "5")

ROWS = [
    ("pull 3 MiB in 3 layers", "x"),
    ("pull 3 MiB in 3 layers", "x"),
    ("push 3 MiB in 3 layers", "x"),
    ("memory of the process that pulls 3 MiB in one blob", "MiB"),
    ("memory of the process that pulls 3 MiB in one blob", "MiB"),
    ("memory of the process that pulls 3 MiB in 3 layers", "MiB"),
    ("pull of an unchanged model, inside a running server", "ms"),
    ("pull of an unchanged model, inside a running server", "requests"),
    (
        "speed of a pull of 3 MiB in 3 layers, 5 ms latency each way, 20 MB/s per connection",
        "x",
    ),
]


def _measure(folder: Path, *options: str, path: str) -> "subprocess.CompletedProcess[str]":
    folders = ("--work", str(folder / "work"), "--results", str(folder / "results"))
    return subprocess.run(
        (sys.executable, str(ROOT / "benchmarks" / "distribution"), *folders, *options),
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def test_small_models_fill_every_row_and_leave_nothing(tmp_path):
    require("docker-registry")
    require("skopeo")
    done = _measure(tmp_path, *SMALL, path=os.environ["PATH"])
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "results" / "distribution.json").read_text())
    assert [(row["what"], row["unit"]) for row in document["rows"]] == ROWS
    assert [len(row["values"]) for row in document["rows"]] == [1] * len(ROWS)
    assert done.stdout == (tmp_path / "results" / "distribution.txt").read_text()
    assert done.stdout.count("\n| ") == 1 + len(ROWS)
    assert list((tmp_path / "work").iterdir()) == []
    wait_until(lambda: not processes_below(tmp_path), "a process was left behind")


@pytest.mark.parametrize("missing", NEEDED)
def test_missing_program_is_one_sentence(tmp_path, missing):
    [other] = set(NEEDED) - {missing}
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / other).symlink_to(sys.executable)
    done = _measure(tmp_path, *SMALL, path=str(programs))
    assert done.returncode == 1
    assert done.stderr == f"Not installed: {missing}. Try: apt install {missing}\n"
    assert not (tmp_path / "work").exists()
