"""What the processors of this machine do, for others and for us, as Linux counts it."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyrunner import control_groups
from pyrunner.control_groups import read


@dataclass(frozen=True, slots=True)
class Load:
    """What all processes together have used until now. `load` makes them."""

    at_s: float
    processors: frozenset[int]
    """Those that are ours to use."""
    busy_s: float
    """Time that all processes together spent on them, counted in steps of 0.01 s."""
    own_s: float
    """What of it this process spent."""

    def n_busy_since(self, before: "Load") -> float:
        """Processors that others kept busy, on average; 0 where ours are not those of before."""
        if self.processors != before.processors:
            return 0.0
        others_s = (self.busy_s - before.busy_s) - (self.own_s - before.own_s)
        return max(0.0, others_s) / (self.at_s - before.at_s)


@dataclass(frozen=True, slots=True)
class OwnTime:
    """What the threads of this process have had until now, and not had. `own_time` makes them."""

    at_s: float
    used_s: float
    waited_s: float
    """Ready to run and without a processor, all threads together; 0 where nothing tells."""
    n_throttled: int
    """How often a quota made this process wait, as one of our control groups counts it."""

    def n_waiting_since(self, before: "OwnTime") -> float:
        """Threads that waited for a processor that another had, on average.

        0 where a quota made them wait: what others do has no part in it, and fewer threads would
        only use less of the quota.
        """
        if self.n_throttled != before.n_throttled:
            return 0.0
        return max(0.0, self.waited_s - before.waited_s) / (self.at_s - before.at_s)


def load(root: Path = Path("/")) -> Load | None:
    """The load until now; None where the system does not tell (macOS).

    Args:
        root: Where ``proc`` is.
    """
    try:
        processors = frozenset(os.sched_getaffinity(0))
        ticks_per_s = os.sysconf("SC_CLK_TCK")
        names = {f"cpu{each}" for each in processors}
        lines = [line.split() for line in read(root / "proc/stat").splitlines()]
        ticks = [_busy_ticks(line[1:]) for line in lines if line and line[0] in names]
    except (AttributeError, OSError, ValueError):
        return None
    if not ticks:
        return None
    return Load(time.monotonic(), processors, sum(ticks) / ticks_per_s, time.process_time())


def _busy_ticks(fields: list[str]) -> int:
    # proc(5): user nice system idle iowait irq softirq steal; guest time is in user already.
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return user + nice + system + irq + softirq + steal


def own_time(root: Path = Path("/")) -> OwnTime:
    """What this process has had until now.

    Args:
        root: Where ``proc`` and ``sys`` are.
    """
    waited_ns = sum(_waited_ns(read(each)) for each in root.glob("proc/self/task/*/schedstat"))
    n_throttled = sum(_n_throttled(read(each)) for each in _group_files(root))
    return OwnTime(time.monotonic(), time.process_time(), waited_ns / 1e9, n_throttled)


def _waited_ns(schedstat: str) -> int:
    """The second of: time on a processor, time waiting for one (ns), turns.

    From Linux' Documentation/scheduler/sched-stats.rst. A thread that has just ended says nothing.
    """
    fields = schedstat.split()
    return int(fields[1]) if len(fields) == 3 else 0


def _group_files(root: Path) -> Iterator[Path]:
    for controller in ("", "cpu"):
        for folder in control_groups.folders(root, controller):
            yield folder / "cpu.stat"


def _n_throttled(stat: str) -> int:
    fields = (line.partition(" ") for line in stat.splitlines())
    return sum(int(value) for name, _, value in fields if name == "nr_throttled")
