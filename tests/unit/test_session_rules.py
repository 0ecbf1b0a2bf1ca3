"""The rules that tests/conftest.py enforces, themselves tested: a leak is found, a skip is loud."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support import leaks
from support.tree import ROOT

SHORT_S = 0.05

SKIPPING = """
import pytest

def test_ran():
    pass

def test_unlisted():
    pytest.skip("did not feel like it")

def test_listed():
    pytest.skip("needs a GPU: CUDA")

@pytest.mark.xfail(reason="known")
def test_expected_failure():
    assert False
"""


def test_a_thread_that_goes_on_is_a_leak():
    stop = threading.Event()
    before = leaks.snapshot()
    thread = threading.Thread(target=stop.wait, name="forgotten")
    thread.start()
    found = leaks.leaked_since(before, SHORT_S)
    stop.set()
    thread.join()
    assert found == ["thread 'forgotten'"]


def test_an_open_file_is_a_leak(tmp_path: Path):
    before = leaks.snapshot()
    with (tmp_path / "forgotten").open("w"):
        found = leaks.leaked_since(before, SHORT_S)
    assert len(found) == 1
    assert found[0].endswith("/forgotten")


def test_a_child_process_is_a_leak():
    before = leaks.snapshot()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = leaks.leaked_since(before, SHORT_S)
    assert f"child process {child.pid}" in found


def test_what_ends_in_time_or_was_there_before_is_no_leak(tmp_path: Path):
    stop = threading.Event()
    with (tmp_path / "open before").open("w"):
        before = leaks.snapshot()
        thread = threading.Thread(target=stop.wait, args=(SHORT_S,))
        thread.start()
        found = leaks.leaked_since(before)
    assert found == []


@pytest.mark.parametrize(
    ("ci", "expected"),
    [
        ("true", "1 failed, 1 passed, 1 skipped, 1 xfailed"),
        ("", "1 passed, 2 skipped, 1 xfailed"),
    ],
    ids=["in CI", "at a desk"],
)
def test_a_skip_without_a_listed_reason_fails_in_ci_only(tmp_path: Path, ci: str, expected: str):
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "pytest",
            "-p",
            "conftest",
            "-p",
            "no:cacheprovider",
            tmp_path,
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT / "tests")},
    )
    assert expected in done.stdout, done.stdout + done.stderr
