"""Time that moves only when a test moves it."""

import threading


class FakeClock:
    """Stands in for `time.monotonic`: call it for the time, `advance` it by hand."""

    def __init__(self, start_s: float = 1000.0) -> None:
        self._lock = threading.Lock()
        self._now_s = start_s

    def __call__(self) -> float:
        with self._lock:
            return self._now_s

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, 0 or more: time does not go back."""
        assert seconds >= 0
        with self._lock:
            self._now_s += seconds
