"""How long a worker lives. Pure: every method takes the time, nothing here reads a clock.

A worker leaves when its model has been idle for `keep_alive_s`, when no server has kept it for
`orphan_grace_s`, or when it is told to; leaving means to take nothing new, to give running
requests `drain_s`, and to exit.
"""

import math
from enum import Enum

HANDOVER_S = 5.0
"""Longest gap between telling a server that the model is ready and that server's request.

Without it a worker with `keep_alive` 0 would leave before anybody could use it.
"""

LINGER_S = 1.0
"""How long a worker that could not load answers with the reason.

A server that has just started it may not have asked yet, and would start it again and again.
"""


class Verdict(Enum):
    """What a worker does now."""

    STAY = "stay"
    DRAIN = "drain"
    """Take no more requests; ask again."""
    EXIT = "exit"


class Life:
    """Counts what keeps the worker alive. Times are seconds of one monotonic clock."""

    def __init__(
        self, *, keep_alive_s: float, orphan_grace_s: float, drain_s: float, now_s: float
    ) -> None:
        self.keep_alive_s = keep_alive_s
        self.n_requests = 0
        self.n_keepers = 0
        self.is_loading = True
        self.drain_reason: str | None = None
        """Why the worker is leaving; None while it is not."""
        self._orphan_grace_s = orphan_grace_s
        self._drain_s = drain_s
        self._used_s = now_s
        self._alone_since_s = now_s
        self._handover_until_s = now_s
        self._drain_until_s = math.inf

    def loaded(self, now_s: float) -> None:
        """The model is ready: the idle clock starts."""
        self.is_loading = False
        self._used_s = now_s
        self._handover_until_s = now_s + HANDOVER_S

    def load_failed(self, now_s: float) -> None:
        """There will be no model: stay just long enough to tell whoever has asked for it."""
        self.is_loading = False
        self.keep_alive_s = LINGER_S
        self._used_s = now_s

    def told_ready(self, now_s: float) -> None:
        """A server was told that the model is ready; its request is expected."""
        self._used_s = max(self._used_s, now_s)
        self._handover_until_s = now_s + HANDOVER_S

    def request_started(self, now_s: float) -> None:
        """A request came in."""
        self.n_requests += 1
        self._used_s = now_s

    def request_ended(self, now_s: float) -> None:
        """A request finished, failed or was cancelled."""
        self.n_requests -= 1
        self._used_s = now_s
        self._handover_until_s = now_s

    def keeper_joined(self) -> None:
        """A server holds on to this worker."""
        self.n_keepers += 1

    def keeper_left(self, now_s: float) -> None:
        """A server let go, or died."""
        self.n_keepers -= 1
        self._alone_since_s = now_s

    def drain(self, reason: str, now_s: float) -> None:
        """Start to leave; a second call changes nothing."""
        if self.drain_reason is None:
            self.drain_reason = reason
            self._drain_until_s = now_s + self._drain_s

    def idle_s(self, now_s: float) -> float:
        """Time since the last request ended; 0 while one is in flight or the model loads."""
        return 0.0 if self.n_requests or self.is_loading else max(0.0, now_s - self._used_s)

    def due_s(self) -> float:
        """When to ask for the next verdict, if nothing happens before; inf: never."""
        if self.drain_reason is not None:
            return self._drain_until_s if self.n_requests else -math.inf
        due = math.inf if self.n_keepers else self._alone_since_s + self._orphan_grace_s
        if not (self.n_requests or self.is_loading):
            due = min(due, max(self._used_s + self.keep_alive_s, self._handover_until_s))
        return due

    def verdict(self, now_s: float) -> tuple[Verdict, str]:
        """Decide, with the reason in words for the log."""
        if now_s < self.due_s():
            return Verdict.STAY, ""
        if self.drain_reason is not None:
            return Verdict.EXIT, self.drain_reason
        if not self.n_keepers and now_s >= self._alone_since_s + self._orphan_grace_s:
            return Verdict.DRAIN, f"no server for {self._orphan_grace_s:g} s"
        return Verdict.DRAIN, f"idle for {self.keep_alive_s:g} s"
