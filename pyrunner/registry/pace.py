"""Whether one connection is enough for a large blob. Pure: told the time by its clock."""

from collections.abc import Callable

ENOUGH_BYTES_PER_S = 64 * 1024 * 1024
"""One connection that is faster stays alone: more of them would only share what there is, and on
a network that fast the cores."""
WINDOW_S = 0.1
"""How long a connection is watched before it is judged."""


class Pace:
    """How fast bytes come, looked at in windows that follow each other. One thread."""

    def __init__(self, n_bytes: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_at_s = clock()
        self._n_bytes = n_bytes

    def is_slow(self, n_bytes: int) -> bool:
        """Whether a window has just ended that brought less than enough.

        Args:
            n_bytes: What is there by now.
        """
        now_s = self._clock()
        passed_s, n_new = now_s - self._began_at_s, n_bytes - self._n_bytes
        if passed_s < WINDOW_S:
            return False
        self._began_at_s, self._n_bytes = now_s, n_bytes
        return n_new < ENOUGH_BYTES_PER_S * passed_s
