"""What the system's files say of the processors."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.system_files import write_file
from support.waits import until

from pyrunner.engine.cpu_load import Load, OwnTime, load, own_time

_STAT = """\
cpu  900 90 90 9000 90 90 90 90 0 0
cpu0 100 10 20 5000 300 1 2 3 40 0
cpu1 200 0 0 5000 0 0 0 0 0 0
cpu2 400 0 0 5000 0 0 0 0 0 0
intr 12 3
"""


def test_load_is_of_the_processors_that_are_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 2}, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda _name: 100)
    write_file(tmp_path / "proc/stat", _STAT)
    now = load(tmp_path)
    assert now is not None
    assert now.processors == {0, 2}
    assert now.busy_s == pytest.approx((136 + 400) / 100)


@pytest.mark.parametrize("stat", ["", "intr 12 3\n", "cpu0 1 2 3\n", "cpu0 a b c d e f g h\n"])
def test_no_load_where_nothing_tells(tmp_path, monkeypatch, stat):
    assert load(tmp_path) is None
    # That of the made-up file, and there is none to ask for outside Linux.
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0}, raising=False)
    write_file(tmp_path / "proc/stat", stat)
    assert load(tmp_path) is None


@pytest.mark.parametrize(
    ("processors", "busy_s", "own_s", "expected"),
    [
        ({0, 1}, 3.0, 1.0, 1.0),
        ({0, 1}, 1.0, 2.0, 0.0),  # the clocks differ
        ({0, 2}, 3.0, 1.0, 0.0),
    ],
)
def test_others_used_what_we_did_not(processors, busy_s, own_s, expected):
    before = Load(5.0, frozenset({0, 1}), 10.0, 4.0)
    now = Load(7.0, frozenset(processors), 10.0 + busy_s, 4.0 + own_s)
    assert now.n_busy_since(before) == expected


def test_own_time_sums_threads_and_groups(tmp_path):
    write_file(tmp_path / "proc/self/task/1/schedstat", "7 1000000000 3\n")
    write_file(tmp_path / "proc/self/task/2/schedstat", "7 500000000 3\n")
    write_file(tmp_path / "proc/self/task/3/schedstat", "")
    write_file(tmp_path / "proc/self/cgroup", "4:cpu,cpuacct:/x\n0::/a\n")
    write_file(tmp_path / "sys/fs/cgroup/a/cpu.stat", "usage_usec 5\nnr_throttled 2\n")
    write_file(tmp_path / "sys/fs/cgroup/cpu/x/cpu.stat", "nr_periods 9\nnr_throttled 3\n")
    now = own_time(tmp_path)
    assert (now.waited_s, now.n_throttled) == (1.5, 5)


def test_threads_that_a_quota_stopped_did_not_wait_for_others():
    before = OwnTime(1.0, 1.0, 1.0, n_throttled=0)
    assert OwnTime(3.0, 1.0, 2.0, n_throttled=0).n_waiting_since(before) == 0.5
    assert OwnTime(3.0, 1.0, 2.0, n_throttled=1).n_waiting_since(before) == 0.0


@pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="this kernel does not count waiting"
)
def test_thread_that_shares_its_processor_waits():
    processors = os.sched_getaffinity(0)
    one = {min(processors)}
    busy = f"import os\nos.sched_setaffinity(0, {one})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", busy])
    is_over = threading.Event()

    def spin() -> None:
        os.sched_setaffinity(0, one)  # of this thread
        while not is_over.is_set():
            pass

    thread = threading.Thread(target=spin)
    before = own_time()
    thread.start()
    try:
        until(lambda: own_time().waited_s - before.waited_s > 0.2)
    finally:
        is_over.set()
        thread.join()
        process.kill()
        process.wait()
