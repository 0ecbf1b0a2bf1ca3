"""How long somebody waits, and what makes them stop."""

import threading
import time
from collections.abc import Callable

from pyrunner.errors import ModelLoadingError, RequestCancelledError
from pyrunner.runtime.runner import POLL_S, IsCancelled


class Wait:
    """One caller's patience. Used by the thread that waits.

    Args:
        reference: What is waited for.
        deadline_s: Seconds from now.
        is_cancelled: Whether the caller's client went away.
        check_open: Raises when the runtime is closing.
    """

    def __init__(
        self,
        reference: str,
        deadline_s: float,
        is_cancelled: IsCancelled,
        check_open: Callable[[], None],
    ) -> None:
        self._reference = reference
        self._deadline = time.monotonic() + deadline_s
        self._is_cancelled = is_cancelled
        self._check_open = check_open
        self._pause = threading.Event()

    def check(self) -> None:
        """Go on, or not.

        Raises:
            RequestCancelledError: Nobody waits any more.
            ModelLoadingError: The deadline passed.
            ShuttingDownError: The runtime is closing.
        """
        self._check_open()
        if self._is_cancelled():
            raise RequestCancelledError(during="loading")
        if time.monotonic() >= self._deadline:
            raise ModelLoadingError(reference=self._reference)

    def pause(self) -> None:
        """Let `POLL_S` pass, then `check`."""
        self._pause.wait(POLL_S)
        self.check()
