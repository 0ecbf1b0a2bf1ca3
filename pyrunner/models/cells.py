"""Which MiB of a partial file are here, when they do not come in order."""

import os
import threading
from array import array
from pathlib import Path
from typing import Self

from pyrunner.registry.ranges import Span

CELL_BYTES = 1024 * 1024
"""What a record counts; an interruption loses less than this per connection."""
RECORD_SUFFIX = ".cells"
_HERE = b"\1"


class Cells:
    """A partial file's record: one byte per MiB, in a file beside it.

    A byte is written after its MiB was, so a record is true after the death of a process. It is
    not fsynced: after a power failure it may claim bytes that the disk never got; then the digest
    is wrong and the blob starts again.

    Any thread. `_lock` protects `n_bytes`, `end`, `_counts` and `_i_first_hole`.

    Attributes:
        n_bytes: How much of the blob is here.
        end: Everything before this is here, in whole cells.
    """

    def __init__(self, path: Path, size_bytes: int, here: bytes) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._lock = threading.Lock()
        self._counts = array("I", bytes(4 * n_cells(size_bytes)))
        self._i_first_hole = 0
        self.n_bytes = 0
        self.end = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for i, each in enumerate(here):
                if each:
                    self.add(i * CELL_BYTES, self._length(i))
        except BaseException:
            self.close()
            raise

    @classmethod
    def begin(cls, path: Path, size_bytes: int, n_prefix: int) -> Self:
        """A new record of a file whose first `n_prefix` bytes are here."""
        path.unlink(missing_ok=True)
        cells = cls(path, size_bytes, b"")
        try:
            cells.add(0, n_prefix)
        except BaseException:
            cells.discard()
            raise
        return cells

    @classmethod
    def resume(cls, path: Path, size_bytes: int) -> Self | None:
        """The record that an earlier process left, None when there is none that fits."""
        here = _read(path, size_bytes)
        return None if here is None else cls(path, size_bytes, here)

    def add(self, offset: int, n_bytes: int) -> None:
        """Note bytes that were written, each once; within a cell they come in order."""
        end = offset + n_bytes
        with self._lock:
            self.n_bytes += n_bytes
            while offset < end:
                i = offset // CELL_BYTES
                step = min(end, (i + 1) * CELL_BYTES) - offset
                self._counts[i] += step
                offset += step
                if self._counts[i] == self._length(i):
                    os.pwrite(self._fd, _HERE, i)
                    self._move_end()

    def forget_last(self, n_bytes: int) -> int:
        """Forget at least so many of the bytes that are here, from the end, in whole cells.

        Returns:
            Where that begins, 0 when nothing is left; behind it nothing is here.
        """
        with self._lock:
            i, n_forgotten = len(self._counts), 0
            while i > 0 and n_forgotten < n_bytes:
                i -= 1
                n_forgotten += self._counts[i]
                self._counts[i] = 0
            # A shorter record needs no room, and what it does not mention is not here.
            os.ftruncate(self._fd, i)
            self.n_bytes -= n_forgotten
            self._i_first_hole = min(i, self._i_first_hole)
            self.end = min(i * CELL_BYTES, self.end)
            return min(i * CELL_BYTES, self._size_bytes)

    def holes(self) -> list[Span]:
        """What is missing, in order."""
        holes: list[Span] = []
        with self._lock:
            for i, n_here in enumerate(self._counts):
                span = Span(i * CELL_BYTES + n_here, i * CELL_BYTES + self._length(i))
                if span.first == span.end:
                    continue
                if holes and holes[-1].end == span.first:
                    span = Span(holes.pop().first, span.end)
                holes.append(span)
        return holes

    def close(self) -> None:
        """Release the file and keep it."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def discard(self) -> None:
        """Close and remove the file."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _length(self, i: int) -> int:
        return min(CELL_BYTES, self._size_bytes - i * CELL_BYTES)

    def _move_end(self) -> None:
        i = self._i_first_hole
        while i < len(self._counts) and self._counts[i] == self._length(i):
            i += 1
        self._i_first_hole = i
        self.end = min(i * CELL_BYTES, self._size_bytes)


def n_cells(size_bytes: int) -> int:
    """How many cells a blob of this size has."""
    return -(-size_bytes // CELL_BYTES)


def record_of(partial: Path) -> Path:
    """Where the record of a partial file is, if it has one."""
    return partial.with_suffix(RECORD_SUFFIX)


def bytes_here(partial: Path, size_bytes: int) -> int:
    """How much of a blob is in its partial file, to a MiB; another process may be writing it."""
    try:
        length = partial.stat().st_size
    except FileNotFoundError:
        return 0
    here = _read(record_of(partial), size_bytes) if length == size_bytes else None
    if here is None:
        return min(length, size_bytes)
    return min(here.count(_HERE) * CELL_BYTES, size_bytes)


def _read(path: Path, size_bytes: int) -> bytes | None:
    try:
        here = path.read_bytes()
    except FileNotFoundError:
        return None
    return here if len(here) <= n_cells(size_bytes) else None
