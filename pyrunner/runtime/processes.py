"""Is the process with this number still the one that was meant?

A process number is used again after its process has ended, so it is only trusted together with
the moment the process was started.
"""

import signal
import subprocess
import sys
from pathlib import Path

_STARTED_FIELD = 19
"""Of /proc/<pid>/stat, counted from the state, which follows the name in parentheses."""


def started_at(pid: int) -> str | None:
    """When a process started, as text that no later process with its number has.

    Returns:
        None when there is no such process, or it has ended and only waits to be reaped.
    """
    if sys.platform != "linux":
        return _started_by_ps(pid)
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may hold blanks and parentheses: fields count from behind the last one.
    fields = line.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[_STARTED_FIELD]


def is_alive(pid: int, started: str) -> bool:
    """Whether the process that `started_at` described is still there."""
    return started_at(pid) == started


def how_it_ended(returncode: int) -> str:
    """Say in words what `subprocess.Popen.returncode` means: ``SIGKILL``, ``exit status 3``."""
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def _started_by_ps(pid: int) -> str | None:
    answer = subprocess.run(  # noqa: S603 - a fixed program and a number
        ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)],
        capture_output=True,
        check=False,
        text=True,
        timeout=5,
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return started.strip() if state and not state.startswith("Z") else None
