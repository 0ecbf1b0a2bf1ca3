"""Waiting for something that another thread is about to do."""

import threading
from collections.abc import Callable
from time import monotonic

PATIENCE_S = 10.0
"""Longest wait; only something broken takes so long."""


def until(is_so: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Return as soon as `is_so`, or fail."""
    tick, give_up = threading.Event(), monotonic() + patience_s
    while not is_so():
        assert monotonic() < give_up, "it never happened"
        tick.wait(0.005)
