"""Is the process with this number still the one that was meant?

A process number is used again after its process has ended, so it is only trusted together with
the moment the process was started.
"""

import contextlib
import signal
import subprocess
import sys
import threading
import time
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


class Children:
    """The workers that this process started, until they are reaped. Any thread.

    One per process, like the children themselves: a runtime that is closed leaves its workers to
    their own clocks, and whoever looks next reaps those that have ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects both dicts
        self._processes: dict[tuple[int, str], subprocess.Popen[bytes]] = {}
        self._returncodes: dict[tuple[int, str], int] = {}

    def add(self, process: subprocess.Popen[bytes]) -> str:
        """Remember a new child; returns its `started_at`, empty when it has ended already."""
        started = started_at(process.pid) or ""
        with self._lock:
            self._processes[process.pid, started] = process
        return started

    def returncode(self, pid: int, started: str, timeout_s: float = 0.0) -> int | None:
        """How a worker ended, waiting for it; None when it lives or is no child of ours."""
        key = (pid, started)
        with self._lock:
            process = self._processes.get(key)
            if process is None:
                return self._returncodes.get(key)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
        self.reap()
        return process.returncode

    def reap(self) -> None:
        """Collect the exit statuses of all that have ended."""
        with self._lock:
            for key, process in list(self._processes.items()):
                if process.poll() is not None:
                    del self._processes[key]
                    self._returncodes[key] = process.returncode
            for key in list(self._returncodes)[:-_MAX_RETURNCODES]:
                del self._returncodes[key]


_MAX_RETURNCODES = 256

_END_POLL_S = 0.01

children = Children()


def wait_for_end(pid: int, started: str, timeout_s: float) -> bool:
    """Wait until a process, child of ours or not, is gone; whether it is."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while is_alive(pid, started):
        if time.monotonic() >= deadline:
            return False
        pause.wait(_END_POLL_S)
    children.reap()
    return True
