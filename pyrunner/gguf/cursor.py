"""Reading a hostile binary file forwards: every length is compared with what is there first."""

import struct
from typing import BinaryIO, Never

from pyrunner.errors import REFETCH, ModelFileError

MAX_HEADER_BYTES = 128 * 1024 * 1024
"""Longest header read: ten times that of the largest known vocabulary."""
_WINDOW_BYTES = 1024 * 1024
_LENGTH = struct.Struct("<Q")


class Cursor:
    """A position in a file that only moves forwards.

    Holds at most one window of the file; a number from the file is never a size to allocate
    before it was found smaller than what remains.
    """

    def __init__(self, file: BinaryIO, *, path: str, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._file = file
        self._path = path
        self._window = b""
        self._window_at = 0
        self._i = 0

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._window_at + self._i

    def refuse(self, problem: str) -> Never:
        """Stop: the file is no model."""
        raise ModelFileError(path=self._path, problem=problem, remedy=REFETCH)

    def take(self, n_bytes: int) -> bytes:
        """The next bytes."""
        self._fill(n_bytes)
        start = self._i
        self._i += n_bytes
        return self._window[start : self._i]

    def skip(self, n_bytes: int) -> None:
        """Go over bytes without reading them."""
        self._check(n_bytes)
        if self._i + n_bytes <= len(self._window):
            self._i += n_bytes
        else:
            self._window_at, self._window, self._i = self.position + n_bytes, b"", 0
            self._file.seek(self._window_at)

    def unsigned(self, n_bytes: int) -> int:
        """A little-endian unsigned integer."""
        return int.from_bytes(self.take(n_bytes), "little")

    def string(self, *, max_bytes: int, what: str) -> str:
        """A length and as many bytes of UTF-8; what is no UTF-8 is replaced."""
        length = self.unsigned(8)
        if length > max_bytes:
            self.refuse(f"{what} claims {length} bytes, at most {max_bytes} are allowed")
        return self.take(length).decode("utf-8", errors="replace")

    def skip_strings(self, n_strings: int) -> None:
        """Go over an array of strings."""
        if n_strings * _LENGTH.size > self.size_bytes - self.position:
            self.refuse(f"is truncated: {n_strings} strings are promised")
        # PERF(models): vocabularies are long, and a call of `skip` for each string costs more.
        for _ in range(n_strings):
            end = self._i + _LENGTH.size
            if end > len(self._window):
                self._fill(_LENGTH.size)
                end = self._i + _LENGTH.size
            length = _LENGTH.unpack_from(self._window, self._i)[0]
            self._i = end
            if end + length <= len(self._window):
                self._i += length
            else:
                self.skip(length)

    def _check(self, n_bytes: int) -> None:
        if n_bytes > self.size_bytes - self.position:
            self.refuse(
                f"is truncated: {n_bytes} bytes are promised at {self.position}, "
                f"the file has {self.size_bytes}"
            )
        if self.position + n_bytes > MAX_HEADER_BYTES:
            self.refuse(f"has a header of more than {MAX_HEADER_BYTES} bytes")

    def _fill(self, n_bytes: int) -> None:
        if self._i + n_bytes <= len(self._window):
            return
        self._check(n_bytes)
        rest = self._window[self._i :]
        self._window_at += self._i
        self._i = 0
        self._window = rest + self._file.read(max(_WINDOW_BYTES, n_bytes - len(rest)))
        if len(self._window) < n_bytes:
            self.refuse("became shorter while it was read")
