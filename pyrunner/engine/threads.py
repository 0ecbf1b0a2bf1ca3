"""How many threads a pass should use, now and when nothing else runs.

All threads of a pass wait for each other many times, spinning, so one that has no core of its own
holds up all others: beside one busy process two threads on two cores do 0.6 of what one does
(docs/benchmarks.md).
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from pyrunner import control_groups, log
from pyrunner.control_groups import read

_logger = log.get("engine")

_TOPOLOGY = "/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
_STAT = Path("/proc/stat")
_NO_QUOTA = 2**16
_INTERVAL_S = 0.25
"""Between two looks: short for a person, long for the clock of /proc/stat."""
_SUSPICION_S = 0.08
"""The same where this process has lost part of its cores: eight ticks of that clock."""
_USED = 0.8
"""Of what its threads could use, what a process uses at least that has its cores for itself."""
_SQUEEZED = 0.15
"""Of a processor: what others would use besides, where this process has lost part of its cores to
them. A process that shares one of two cores with a thread of ours gets half of it."""
_GRANTED = 0.4
"""A process that wants a core gets two thirds of one beside two threads of ours on two cores; it
counts as wanting all of it from 0.6 on."""


def n_threads_default(root: Path = Path("/")) -> int:
    """One per physical core this process may run on, at most its CPU quota, at least 1.

    Two hardware threads of one core share its vector units, so the second adds contention and no
    speed. Where the system does not tell, every processor counts as a core.

    Args:
        root: Where ``proc`` and ``sys`` are, for the quota (tests).
    """
    return max(1, min(_n_cores(), _quota(root)))


def n_threads_most(asked: int, root: Path = Path("/")) -> int:
    """The threads that were asked for, 0 for the default, as far as there are processors for them.

    In each wait of a pass all would wait for the one that has no processor.

    Args:
        asked: `EngineConfig.n_threads`.
        root: As in `n_threads_default`.
    """
    if not asked:
        return n_threads_default(root)
    n_most = max(1, min(_n_processors(), _quota(root)))
    if asked > n_most:
        _logger.warning(
            "engine.n_threads is %d, and this process may use %d processors: %d threads",
            asked,
            n_most,
            n_most,
        )
    return min(asked, n_most)


def _n_processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def _n_cores() -> int:
    try:
        return len({_siblings(cpu) for cpu in os.sched_getaffinity(0)})
    except AttributeError:  # macOS
        return (os.cpu_count() or 2) // 2


@cache
def _siblings(cpu: int) -> str:
    try:
        return Path(_TOPOLOGY.format(cpu=cpu)).read_text()
    except OSError:
        return str(cpu)


def _quota(root: Path) -> int:
    """Processors that our control groups grant, rounded up."""
    shares = [read(each / "cpu.max") for each in control_groups.folders(root)]
    shares += [
        read(each / "cpu.cfs_quota_us") + read(each / "cpu.cfs_period_us")
        for each in control_groups.folders(root, "cpu")
    ]
    return min([_NO_QUOTA, *map(_granted, shares)])


def _granted(share: str) -> int:
    try:
        quota, period = map(int, share.split())
    except ValueError:  # no such file, or "max"
        return _NO_QUOTA
    return -(-quota // period) if quota > 0 else _NO_QUOTA  # -1 in cgroup v1


def choose_threads(n_most: int, n_cores: int, n_processors: int, n_busy: float) -> int:
    """How many threads have a core of their own. Pure.

    Only powers of two and `n_most` itself: each number that is used costs a pool of its own.

    Args:
        n_most: Threads when nothing else runs, at least 1.
        n_cores: Cores that this process may run on, whatever its quota.
        n_processors: Their hardware threads.
        n_busy: How many of those others kept busy, on average of the last moments.

    Returns:
        1..`n_most`.
    """
    n_free = n_processors - int(n_busy + _GRANTED)
    # Of two hardware threads of one core a busy one leaves the other.
    n_free_cores = -(-n_free * n_cores // n_processors)
    if n_free_cores >= n_most:
        return n_most
    return 1 << (max(1, n_free_cores).bit_length() - 1)


@dataclass(frozen=True, slots=True)
class _Look:
    at_s: float
    processors: frozenset[int]
    """Those that are ours to use."""
    busy_s: float
    """Time that all processes together spent on them."""
    own_s: float
    """What of it this process spent."""

    def n_busy_since(self, before: "_Look") -> float:
        """Processors that others kept busy, on average; 0 where ours are not those of before."""
        if self.processors != before.processors:
            return 0.0
        others_s = (self.busy_s - before.busy_s) - (self.own_s - before.own_s)
        return max(0.0, others_s) / (self.at_s - before.at_s)


class Threaded(Protocol):
    """What computes on several threads: a session, the embeddings."""

    def set_threads(self, n_threads: int) -> None:
        """Use so many from the next pass on."""


class ThreadGovernor:
    """Says how many threads the next pass should use. One thread.

    Args:
        n_most: Threads when nothing else runs, at least 1.
        users: Who is told; nobody where the number was chosen.
        root: As in `n_threads_default`.
    """

    def __init__(self, n_most: int, users: Sequence[Threaded] = (), root: Path = Path("/")) -> None:
        self._n_most = n_most
        self._users = users
        self._root = root
        self.n_threads = n_most
        self._before = _look()

    def follow(self) -> None:
        """Between two passes: tell all users when the number has changed."""
        if self._users and self.update():
            for each in self._users:
                each.set_threads(self.n_threads)

    def update(self) -> bool:
        """Look around, if it is time to; whether `n_threads` has changed.

        What this process may run on, and its quota, may change, too. Fewer threads at once, at most
        twice as many: who took a core may take it again.
        """
        before = self._before
        if before is None or not self._is_due(before):
            return False
        now = self._before = _look()
        if now is None:
            return False
        n_most = min(self._n_most, n_threads_default(self._root))
        n_busy = now.n_busy_since(before)
        if now.at_s - before.at_s < _INTERVAL_S:  # a suspicion made it look
            n_busy += _SQUEEZED
        wanted = choose_threads(n_most, _n_cores(), len(now.processors), n_busy)
        old, self.n_threads = self.n_threads, min(wanted, 2 * self.n_threads)
        return self.n_threads != old

    def _is_due(self, before: "_Look") -> bool:
        passed_s = time.monotonic() - before.at_s
        if not _SUSPICION_S <= passed_s < _INTERVAL_S:
            return passed_s >= _INTERVAL_S
        # Each look reads a file, these are two calls.
        used_s = time.process_time() - before.own_s
        return used_s < _USED * self.n_threads * passed_s


def _look() -> _Look | None:
    """None where the system does not tell (macOS)."""
    try:
        processors = frozenset(os.sched_getaffinity(0))
        names = {f"cpu{each}" for each in processors}
        lines = [line.split() for line in _STAT.read_text().splitlines() if line.startswith("cpu")]
        busy = sum(_busy_ticks(line[1:]) for line in lines if line[0] in names)
        ticks_per_s = os.sysconf("SC_CLK_TCK")
    except (AttributeError, OSError, ValueError):
        return None
    return _Look(time.monotonic(), processors, busy / ticks_per_s, time.process_time())


def _busy_ticks(fields: list[str]) -> int:
    # proc(5): user nice system idle iowait irq softirq steal; guest time is in user already.
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return user + nice + system + irq + softirq + steal
