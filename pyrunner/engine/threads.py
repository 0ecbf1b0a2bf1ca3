"""How many threads a step should use."""

import os
from pathlib import Path

_TOPOLOGY = "/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def n_threads_default() -> int:
    """One per physical core this process may run on, at most its CPU quota, at least 1.

    Two hardware threads of one core share its vector units, so the second adds contention and no
    speed. Where the system does not tell, every processor counts as a core.
    """
    try:
        allowed = sorted(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return max(1, (os.cpu_count() or 2) // 2)
    cores = {_siblings(cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota()))


def _siblings(cpu: int) -> str:
    try:
        return Path(_TOPOLOGY.format(cpu=cpu)).read_text()
    except OSError:
        return str(cpu)


def _quota() -> int:
    """Processors the control group grants, rounded up."""
    try:
        quota, period = _QUOTA.read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return 2**16
