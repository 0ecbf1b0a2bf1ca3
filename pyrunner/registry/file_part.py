"""A stretch of a file as the body of a request."""

import threading
from collections.abc import Callable
from typing import BinaryIO

_READ_BYTES = 1024 * 1024
"""What goes from the file to the socket at once: as few calls as the processor's cache allows."""


class FilePart:
    """The bytes from `start` to `end` of a file that nobody else reads meanwhile. One thread.

    Args:
        file: Opened for reading, without a buffer.
        start: First byte.
        end: One after the last.
        cancelled: Set by another thread to break the request off.
        on_bytes: Told the position in the file after each piece.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        end: int,
        cancelled: threading.Event,
        on_bytes: Callable[[int], None],
    ) -> None:
        file.seek(start)
        self._file = file
        self._start = start
        self._at = start
        self._end = end
        self._cancelled = cancelled
        self._on_bytes = on_bytes

    def __len__(self) -> int:
        """Bytes."""
        return self._end - self._start

    def read(self, n_bytes: int = -1) -> bytes:
        """The next megabyte whatever is asked for: HTTP clients ask for 16 KiB at a time."""
        del n_bytes
        if self._cancelled.is_set():
            raise ConnectionAbortedError("cancelled")  # `requests` makes its own error of it
        chunk = self._file.read(min(self._end - self._at, _READ_BYTES))
        self._at += len(chunk)
        self._on_bytes(self._at)
        return chunk
