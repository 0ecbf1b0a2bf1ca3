"""The number of threads follows the cores that are free."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.system_files import write_file
from support.waits import until

from pyrunner.engine import cpu_load, threads
from pyrunner.engine.threads import (
    ThreadGovernor,
    choose_threads,
    give_way,
    n_threads_default,
    n_threads_most,
)


@pytest.mark.parametrize(
    ("n_most", "n_cores", "n_processors", "n_busy", "expected"),
    [
        (2, 2, 2, 0.0, 2),
        (2, 2, 2, 0.3, 2),
        (2, 2, 2, 0.67, 1),
        (2, 2, 2, 1.0, 1),
        (2, 2, 2, 9.0, 1),
        (1, 2, 2, 1.0, 1),
        (4, 4, 8, 1.0, 4),
        (4, 4, 8, 2.0, 2),
        (4, 4, 8, 8.0, 1),
        (16, 16, 16, 1.33, 8),
        (6, 6, 6, 2.0, 4),
        (2, 32, 64, 40.0, 2),  # a quota of two on a large machine that others use, too
        (2, 32, 64, 63.0, 1),
    ],
)
def test_threads_are_left_to_who_uses_them(n_most, n_cores, n_processors, n_busy, expected):
    assert choose_threads(n_most, n_cores, n_processors, n_busy) == expected


@pytest.mark.parametrize(
    ("n_threads", "n_waiting", "expected"),
    [
        (2, 0.0, 2),
        (2, 0.3, 2),  # our own server and its client
        (2, 0.45, 1),
        (2, 1.0, 1),
        (1, 0.5, 1),
        (3, 0.1, 3),
        (3, 0.5, 2),
        (4, 0.5, 2),
        (8, 0.9, 4),
        (16, 0.5, 16),  # each waits a little
        (16, 1.0, 8),
        (16, 9.0, 1),
    ],
)
def test_threads_that_share_a_processor_are_given_up(n_threads, n_waiting, expected):
    assert give_way(n_threads, n_waiting) == expected


class _Machine:
    """Two cores at first, of which others keep some busy, and a clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.at_s = self.busy_s = self.own_s = self.waited_s = 0.0
        self.n_throttled = 0
        self.processors = {0, 1}
        self.root = root
        monkeypatch.setattr(cpu_load, "load", self._load)
        monkeypatch.setattr(cpu_load, "own_time", self._own_time)
        monkeypatch.setattr("pyrunner.engine.threads.time.monotonic", lambda: self.at_s)
        monkeypatch.setattr("pyrunner.engine.threads.time.process_time", lambda: self.own_s)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: self.processors, raising=False)
        monkeypatch.setattr(threads, "_siblings", str)

    def governor(self, n_most: int, users: Sequence[threads.Threaded] = ()) -> ThreadGovernor:
        return ThreadGovernor(n_most, users, self.root)

    def _load(self, _root: Path) -> cpu_load.Load:
        return cpu_load.Load(self.at_s, frozenset(self.processors), self.busy_s, self.own_s)

    def _own_time(self, _root: Path) -> cpu_load.OwnTime:
        return cpu_load.OwnTime(self.at_s, self.own_s, self.waited_s, self.n_throttled)

    def pass_time(
        self, seconds: float, n_busy: float, n_own: float = 2.0, n_waiting: float = 0.0
    ) -> None:
        """Others keep `n_busy` processors busy, and this process `n_own`, as if there were room."""
        self.at_s += seconds
        self.busy_s += seconds * (n_busy + n_own)
        self.own_s += seconds * n_own
        self.waited_s += seconds * n_waiting


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Machine:
    (tmp_path / "proc/self").mkdir(parents=True)
    return _Machine(monkeypatch, tmp_path)


def test_governor_gives_way_at_once_and_comes_back(machine):
    governor = machine.governor(2)
    machine.pass_time(0.1, 2.0)
    assert not governor.update()  # too early to tell
    machine.pass_time(0.2, 2.0)
    assert (governor.update(), governor.n_threads) == (True, 1)
    machine.pass_time(0.3, 1.0)
    assert (governor.update(), governor.n_threads) == (False, 1)
    machine.pass_time(0.3, 0.0)
    assert (governor.update(), governor.n_threads) == (True, 2)


def test_governor_gives_way_soon_where_its_threads_wait(machine):
    governor = machine.governor(2)
    machine.pass_time(0.02, 0.5, n_own=1.5, n_waiting=0.5)
    assert not governor.update()  # too early to tell
    machine.pass_time(0.02, 0.5, n_own=1.5, n_waiting=0.5)
    assert (governor.update(), governor.n_threads) == (True, 1)
    machine.pass_time(0.2, 0.0, n_own=1.0)
    assert not governor.update()  # what was seen of the other does not count any more
    machine.pass_time(0.1, 0.0, n_own=1.0)
    assert (governor.update(), governor.n_threads) == (True, 2)


def test_who_does_little_beside_waiting_threads_is_tolerated(machine):
    governor = machine.governor(2)
    for _ in range(20):
        machine.pass_time(0.05, 0.2, n_own=1.5, n_waiting=0.2)
        assert not governor.update()


def test_threads_that_a_quota_makes_wait_are_not_given_up(machine):
    governor = machine.governor(2)
    for _ in range(20):
        machine.pass_time(0.05, 0.0, n_own=1.5, n_waiting=0.5)
        machine.n_throttled += 1
        assert not governor.update()


def test_who_comes_in_the_middle_is_noticed_soon(machine):
    governor = machine.governor(2)
    for _ in range(7):
        machine.pass_time(0.03, 0.0)
        assert not governor.update()
    machine.pass_time(0.03, 0.5, n_own=1.5, n_waiting=0.5)
    assert not governor.update()  # of all the time since the last look it is little
    machine.pass_time(0.03, 0.5, n_own=1.5, n_waiting=0.5)
    assert (governor.update(), governor.n_threads) == (True, 1)


def test_core_that_is_lost_each_time_is_tried_less_and_less_often(machine):
    governor = machine.governor(2)
    n_changes = 0
    for _ in range(1000):  # 30 s beside a process that uses half a core
        shares = governor.n_threads == 2
        waiting = 0.5 if shares else 0.0
        machine.pass_time(0.03, 0.5, n_own=governor.n_threads - waiting, n_waiting=waiting)
        n_changes += governor.update()
    assert 10 < n_changes < 30
    machine.pass_time(4.0, 0.0, n_own=1.0)
    governor.update()
    assert governor.n_threads == 2


def test_load_that_cannot_be_read_once_does_not_stop_the_governor(machine, monkeypatch):
    governor = machine.governor(2)
    with monkeypatch.context() as broken:
        broken.setattr(cpu_load, "load", lambda _root: None)
        machine.pass_time(0.3, 0.5, n_own=1.5, n_waiting=0.5)
        assert (governor.update(), governor.n_threads) == (True, 1)
        machine.pass_time(0.3, 0.0, n_own=1.0)
        assert not governor.update()
    machine.pass_time(0.3, 0.0, n_own=1.0)
    assert (governor.update(), governor.n_threads) == (True, 2)


def test_half_a_core_that_others_leave_idle_is_not_given_up(machine):
    governor = machine.governor(2)
    machine.pass_time(0.3, 0.5)
    assert (governor.update(), governor.n_threads) == (False, 2)


def test_governor_follows_the_processors_it_may_use(machine):
    machine.processors = set(range(4))
    governor = machine.governor(4)
    machine.processors = {0, 1, 2}
    machine.pass_time(0.3, 0.0)
    assert (governor.update(), governor.n_threads) == (True, 3)
    machine.processors = {5}
    machine.pass_time(0.3, 0.0)
    assert (governor.update(), governor.n_threads) == (True, 1)
    machine.processors = set(range(8))
    for expected in (2, 4):
        machine.pass_time(0.3, 0.0)
        assert (governor.update(), governor.n_threads) == (True, expected)
    machine.pass_time(0.3, 0.0)
    assert not governor.update()  # never more than at first


@pytest.mark.parametrize(
    ("own", "parent", "mount", "expected"),
    [
        ("max 100000\n", "max 100000\n", "", 4),
        ("300000 100000\n", "max 100000\n", "", 3),
        ("max 100000\n", "150000 100000\n", "", 2),
        ("300000 100000\n", "20000 100000\n", "", 1),
        ("", "", "200000 100000\n", 2),  # in a container
        ("nonsense", "-1 100000", "", 4),
    ],
)
def test_quota_is_the_smallest_of_a_group_and_those_above(machine, own, parent, mount, expected):
    machine.processors = set(range(4))
    write_file(machine.root / "proc/self/cgroup", "0::/a/b\n")
    group = machine.root / "sys/fs/cgroup"
    write_file(group / "a/b/cpu.max", own)
    write_file(group / "a/cpu.max", parent)
    write_file(group / "cpu.max", mount)
    assert n_threads_default(machine.root) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1\n", 4), ("150000\n", 2)])
def test_quota_of_an_old_group(machine, quota, expected):
    machine.processors = set(range(4))
    write_file(machine.root / "proc/self/cgroup", "4:cpu,cpuacct:/x\n0::/\n")
    write_file(machine.root / "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", quota)
    write_file(machine.root / "sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n")
    assert n_threads_default(machine.root) == expected


@pytest.mark.parametrize(("asked", "expected"), [(0, 4), (1, 1), (4, 4), (5, 4), (512, 4)])
def test_no_more_threads_than_processors(machine, caplog, asked, expected):
    machine.processors = set(range(4))
    write_file(machine.root / "proc/self/cgroup", "0::/\n")
    assert n_threads_most(asked, machine.root) == expected
    assert ("may use 4 processors" in caplog.text) == (asked > expected)


def test_no_more_threads_than_the_quota_lets_run(machine):
    machine.processors = set(range(4))
    write_file(machine.root / "proc/self/cgroup", "0::/\n")
    write_file(machine.root / "sys/fs/cgroup/cpu.max", "200000 100000\n")
    assert n_threads_most(3, machine.root) == 2


def test_governor_follows_the_quota(machine):
    machine.processors = set(range(4))
    governor = machine.governor(4)
    write_file(machine.root / "proc/self/cgroup", "0::/a\n")
    seen = []
    for quota in ("300000", "100000", "max", "max"):
        write_file(machine.root / "sys/fs/cgroup/a/cpu.max", f"{quota} 100000\n")
        machine.pass_time(0.3, 0.0)
        assert governor.update()
        seen.append(governor.n_threads)
    assert seen == [3, 1, 2, 4]


def test_what_others_did_on_processors_before_they_were_ours_does_not_count(machine):
    governor = machine.governor(2)
    machine.processors = {2, 3}
    machine.busy_s += 10_000.0
    machine.pass_time(0.3, 0.0)
    assert (governor.update(), governor.n_threads) == (False, 2)
    machine.pass_time(0.3, 1.0)
    assert (governor.update(), governor.n_threads) == (True, 1)


class _User:
    def __init__(self) -> None:
        self.told: list[int] = []

    def set_threads(self, n_threads: int) -> None:
        self.told.append(n_threads)


def test_everyone_who_computes_is_told_of_each_change_once(machine):
    users = [_User(), _User()]
    governor = machine.governor(2, users)
    for n_busy in (0.0, 2.0, 2.0, 0.0, 0.0):
        machine.pass_time(0.3, n_busy)
        governor.follow()
    assert [each.told for each in users] == [[1, 2], [1, 2]]


def test_number_that_was_chosen_is_not_changed(machine):
    governor = machine.governor(2)
    machine.pass_time(0.3, 2.0)
    governor.follow()
    assert governor.n_threads == 2


def test_system_that_does_not_tell_gets_all_threads(monkeypatch):
    monkeypatch.setattr(cpu_load, "load", lambda _root: None)
    governor = ThreadGovernor(3)
    assert (governor.update(), governor.n_threads) == (False, 3)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs /proc of Linux")
def test_busy_processes_of_this_machine_are_seen():
    n_processors = len(os.sched_getaffinity(0))
    governor = ThreadGovernor(n_processors)
    spinning = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(spinning) for _ in range(n_processors)]
    try:
        until(lambda: governor.update() or governor.n_threads == 1)
        until(lambda: not governor.update() and governor.n_threads == 1)
    finally:
        for process in processes:
            process.kill()
            process.wait()
