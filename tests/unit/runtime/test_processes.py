"""runtime.processes: pids that may have been used again."""

import os
import subprocess
import sys

import pytest

from pyrunner.runtime.processes import how_it_ended, is_alive, started_at


def test_is_alive_own_process_is():
    started = started_at(os.getpid())
    assert started is not None
    assert is_alive(os.getpid(), started)


def test_is_alive_same_pid_started_at_another_time_is_not():
    assert not is_alive(os.getpid(), "1")


def test_started_at_unreaped_child_counts_as_gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    found = started_at(child.pid)
    child.wait()
    assert found is None


def test_started_at_no_such_process_is_none():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert started_at(child.pid) is None


@pytest.mark.parametrize(
    ("returncode", "words"),
    [(-9, "SIGKILL"), (-6, "SIGABRT"), (3, "exit status 3"), (-200, "signal 200")],
    ids=["kill", "abort", "exit", "unknown signal"],
)
def test_how_it_ended_says_so_in_words(returncode, words):
    assert how_it_ended(returncode) == words
