"""How fast bytes come: an average over the last seconds."""

import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 5.0
_LEAST_S = 0.25
"""A shorter time says nothing about speed."""


class Rate:
    """Bytes per second of one transfer. One thread.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, n_bytes: int) -> float:
        """The rate now that so much has come; 0 while it is unknown."""
        now = self._clock()
        self._seen.append((now, n_bytes))
        while now - self._seen[0][0] > WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        began_at, before = self._seen[0]
        if now - began_at < _LEAST_S:
            return 0.0
        return max(0.0, (n_bytes - before) / (now - began_at))
