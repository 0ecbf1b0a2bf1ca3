"""A worker process that is started before anybody needs it."""

import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from pyrunner import log
from pyrunner.runtime.newborn import Newborn
from pyrunner.runtime.processes import how_it_ended

_logger = log.get("runtime")

_REST_S = 1.0
"""From the moment a spare is taken to the start of the next, which should not share the processor
with a small model that is loading; beside a large one it makes no difference. Nor with an answer:
where one is on its way, it is looked for again after as long."""
_LATEST_S = 30.0
"""A server that never rests has one after this."""


class Spare:
    """Keeps one process waiting, once `keep` was called. Any thread.

    `_lock` protects all but the command.

    Args:
        command: As for `Newborn`.
        is_at_rest: Whether no answer is on its way, which a start would slow down.
    """

    def __init__(self, command: Sequence[str], is_at_rest: Callable[[], bool]) -> None:
        self._command = tuple(command)
        self._is_at_rest = is_at_rest
        self._lock = threading.Lock()
        self._newborn: Newborn | None = None
        self._timer: threading.Timer | None = None
        self._is_kept = False

    @property
    def pid(self) -> int | None:
        """Of the process that waits; None when there is none."""
        newborn = self._newborn
        return None if newborn is None else newborn.pid

    def keep(self) -> None:
        """Start one, and another whenever one was taken."""
        with self._lock:
            self._is_kept = True
            self._start()

    def take(self) -> Newborn | None:
        """The one that waits, from now on the caller's; None when there is none."""
        with self._lock:
            newborn, self._newborn = self._newborn, None
            if self._is_kept and self._timer is None:
                self._wait(time.monotonic() + _LATEST_S)
        if newborn is None or newborn.returncode is None:
            return newborn
        newborn.close()  # the system needed its memory, say
        how = how_it_ended(newborn.returncode)
        _logger.warning("spare worker %d ended before it was needed: %s", newborn.pid, how)
        return None

    def close(self) -> None:
        """Keep none any more."""
        with self._lock:
            self._is_kept = False
            newborn, self._newborn = self._newborn, None
            if self._timer is not None:
                self._timer.cancel()
        if newborn is not None:
            newborn.close()

    def _wait(self, latest_s: float) -> None:
        self._timer = threading.Timer(_REST_S, self._start_at_rest, [latest_s])
        self._timer.name = "spare"
        self._timer.daemon = True
        self._timer.start()

    def _start_at_rest(self, latest_s: float) -> None:
        is_due = self._is_at_rest() or time.monotonic() >= latest_s
        with self._lock:
            self._timer = None
            if is_due:
                self._start()
            elif self._is_kept:
                self._wait(latest_s)

    def _start(self) -> None:
        if not self._is_kept or self._newborn is not None:
            return
        try:
            self._newborn = Newborn(self._command, None)
        except (OSError, subprocess.SubprocessError) as error:
            # The next model starts a process itself, and says so if it cannot either.
            _logger.warning("no spare worker: %s", error)
