"""How many threads a pass should use, now and when nothing else runs.

All threads of a pass wait for each other many times, spinning, so one that has no core of its own
holds up all others: beside one busy process two threads on two cores do 0.6 of what one does
(docs/benchmarks.md).
"""

import math
import os
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from pyrunner import control_groups, log
from pyrunner.control_groups import read
from pyrunner.engine import cpu_load

_logger = log.get("engine")

_TOPOLOGY = "/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
_NO_QUOTA = 2**16
_INTERVAL_S = 0.25
"""Between two looks at what others use: short for a person, long for the clock of /proc/stat."""
_SUSPICION_S = 0.025
"""Between two looks at how long our threads waited: several turns of who shares a processor."""
_USED = 0.8
"""Of what its threads could use, what a process uses at least that has its cores for itself."""
_SHARED = 0.5
"""How much of the time a thread waits that shares its processor with one other."""
_TOLERATED = 0.15
"""How much less of it counts as sharing, too: who shares does not always want all it gets. More
would take our own server and its clients, who do a little for each token, for such a process."""
_LEAST_WAITING = 0.05
"""Of all threads, what has to wait before any is given up: many wait a little now and then."""
_LONGEST_PATIENCE_S = 4.0
"""Until a core is tried again that was lost each time."""
_RELAPSE_S = 1.0
"""Who loses a core again within this after taking it back waits twice as long the next time."""
_LOOK_SHARE = 0.02
"""Of the time, what looks may take at most: they read a file for each thread."""
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
    return n_most if n_free_cores >= n_most else _power_of_two(n_free_cores)


def give_way(n_threads: int, n_waiting: float) -> int:
    """How many threads are left when those that share a processor are given up. Pure.

    Args:
        n_threads: Threads now, at least 1.
        n_waiting: How many of them were ready to run and had no processor, on average.

    Returns:
        `n_threads`, or a smaller power of two.
    """
    n_sharing = int((n_waiting + _TOLERATED) / _SHARED)
    if n_sharing == 0 or n_waiting < _LEAST_WAITING * n_threads:
        return n_threads
    return _power_of_two(n_threads - n_sharing)


def _power_of_two(n_threads: int) -> int:
    return 1 << (max(1, n_threads).bit_length() - 1)


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
        self._load = cpu_load.load(root)
        self._own = cpu_load.own_time(root)
        self._seen = (self._own.at_s, self._own.used_s)
        self._look_s = 0.0
        self._took_back_s = -math.inf
        self._patience_s = _INTERVAL_S
        self._patient_until_s = -math.inf

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
        load = self._load
        if load is None:
            return False
        old, now_s = self.n_threads, time.monotonic()
        if self._suspects_loss(now_s):
            self.n_threads = self._without_those_that_share(now_s)
        if self.n_threads == old and now_s - load.at_s >= _INTERVAL_S:
            most = 2 * old if now_s >= self._patient_until_s else old
            self.n_threads = min(self._as_many_as_are_free(load), most)
            if self.n_threads > old:
                self._took_back_s = now_s
        return self.n_threads != old

    def _suspects_loss(self, now_s: float) -> bool:
        """Whether this process has lost part of its cores: each look reads files, this does not."""
        seen_s, seen_used_s = self._seen
        passed_s = now_s - seen_s
        if self.n_threads == 1 or passed_s < max(_SUSPICION_S, self._look_s / _LOOK_SHARE):
            return False
        used_s = time.process_time()
        self._seen = (now_s, used_s)
        return used_s - seen_used_s < _USED * self.n_threads * passed_s

    def _without_those_that_share(self, now_s: float) -> int:
        before = self._own
        self._note_own()
        self._look_s = self._own.at_s - now_s
        n_left = give_way(self.n_threads, self._own.n_waiting_since(before))
        if n_left < self.n_threads:
            self._load = cpu_load.load(self._root) or self._load  # of all that the others do now
            is_again = now_s - self._took_back_s < _RELAPSE_S
            longer_s = min(2 * self._patience_s, _LONGEST_PATIENCE_S)
            self._patience_s = longer_s if is_again else _INTERVAL_S
            self._patient_until_s = now_s + self._patience_s
        return n_left

    def _as_many_as_are_free(self, before: cpu_load.Load) -> int:
        now = cpu_load.load(self._root)
        self._note_own()
        if now is None:
            return self.n_threads
        self._load = now
        n_most = min(self._n_most, n_threads_default(self._root))
        n_busy = now.n_busy_since(before)
        return choose_threads(n_most, _n_cores(), len(now.processors), n_busy)

    def _note_own(self) -> None:
        self._own = cpu_load.own_time(self._root)
        self._seen = (self._own.at_s, self._own.used_s)
