"""The way of one blob into the store: partial file, digest, final name."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pyrunner.errors import DigestMismatchError
from pyrunner.models.cells import Cells, record_of
from pyrunner.models.files import is_at, os_errors, sync_folder
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.ranges import Span

_READ_BYTES = 1024 * 1024
_GIVEN_BACK_BYTES = 1024 * 1024


class Incoming:
    """A blob on its way into the store, resumable.

    Opened by `BlobFolder.open_incoming`, which holds the partial file's lock. Bytes come in order
    (`write`), and the file's length says how many there are, or, after `spread`, in any order
    (`write_at`) with a record of what is here beside the file. The digest is of the file's bytes in
    order, those of an earlier attempt included: `follow` and `publish` read what `write` did not
    have in hand.

    One thread owns it; `write_at` may be called by any number of others until they are joined.
    Leaving the context keeps the partial file for the next attempt, unless its bytes turned out to
    be wrong.

    Attributes:
        descriptor: What the blob has to be.
    """

    def __init__(self, descriptor: Descriptor, fd: int, partial: Path, final: Path) -> None:
        self.descriptor = descriptor
        self._fd = fd
        self._partial = partial
        self._final = final
        self._was_refused = False
        self._buffer = memoryview(bytearray(0))
        self._cells: Cells | None = None
        with os_errors(partial):
            self._length = os.fstat(fd).st_size
            if self._length == descriptor.size:
                self._cells = Cells.resume(record_of(partial), descriptor.size)
        self._hash = hashlib.sha256()
        self._n_hashed = 0
        if self._length > descriptor.size:
            self.restart()

    @property
    def n_bytes(self) -> int:
        """How much of the blob is here, 0..`descriptor.size`."""
        return self._length if self._cells is None else self._cells.n_bytes

    def missing(self) -> Sequence[Span]:
        """What is not here, in order."""
        if self._cells is not None:
            return self._cells.holes()
        size = self.descriptor.size
        return [Span(self._length, size)] if self._length < size else []

    def append_from(self) -> int:
        """Where `write` goes on; what an earlier attempt left behind a hole is forgotten."""
        if self._cells is not None:
            with os_errors(self._partial):
                self._forget_from(self._cells.end)
        return self._length

    def write(self, chunk: bytes) -> None:
        """Append bytes. The owner only.

        Raises:
            DigestMismatchError: More bytes than the descriptor promised; the partial is gone.
            StoreIOError: The disk is full, or worse.
        """
        at = self.append_from()
        if at + len(chunk) > self.descriptor.size:
            self._throw_away(n_bytes=at + len(chunk), actual="of a longer blob")
        self.write_at(at, chunk)
        if self._n_hashed == at:
            self._hash.update(chunk)
            self._n_hashed = self._length

    def spread(self) -> None:
        """Get ready for bytes in any order: the file gets its full length."""
        if self._cells is None:
            with os_errors(self._partial):
                # The record first: one beside a shorter file counts for nothing.
                size = self.descriptor.size
                try:
                    cells = Cells.begin(record_of(self._partial), size, self._length)
                    try:
                        os.ftruncate(self._fd, size)
                    except BaseException:
                        cells.discard()
                        raise
                except OSError:
                    self._was_refused = True
                    raise
                self._cells = cells

    def write_at(self, offset: int, chunk: bytes) -> None:
        """Put bytes where they belong; before `spread` that is the end.

        Any thread, each byte once, none behind the descriptor's size.

        Raises:
            StoreIOError: The disk is full, or worse.
        """
        with os_errors(self._partial):
            try:
                view, at = memoryview(chunk), offset
                while view:
                    n_written = os.pwrite(self._fd, view, at)
                    view, at = view[n_written:], at + n_written
                if self._cells is not None:
                    self._cells.add(offset, len(chunk))
                else:
                    self._length = at
            except OSError:
                self._was_refused = True
                raise

    def follow(self, max_bytes: int) -> bool:
        """Hash up to `max_bytes` of what is here in order. The owner only.

        Returns:
            Whether there was anything to hash.
        """
        here = self._length if self._cells is None else self._cells.end
        end = min(here, self._n_hashed + max_bytes)
        if self._n_hashed == end:
            return False
        if not self._buffer:
            self._buffer = memoryview(bytearray(_READ_BYTES))
        with os_errors(self._partial):
            while self._n_hashed < end:
                wanted = self._buffer[: min(_READ_BYTES, end - self._n_hashed)]
                n_read = os.preadv(self._fd, [wanted], self._n_hashed)
                if n_read == 0:
                    return False  # somebody made the file shorter; `publish` will refuse it
                self._hash.update(wanted[:n_read])
                self._n_hashed += n_read
        return True

    def restart(self) -> None:
        """Forget what is there. The owner only."""
        with os_errors(self._partial):
            self._forget_from(0)

    def give_up(self) -> None:
        """Forget what is there, unless it has its final name already. The owner only."""
        with os_errors(self._partial):
            if self._fd >= 0 and is_at(self._partial, self._fd):
                self._forget_from(0)

    def publish(self) -> Path:
        """Give the blob its final name, durably. The owner only.

        Raises:
            DigestMismatchError: Size or digest is wrong; the partial is gone.
            StoreIOError: The disk is full, or worse.
        """
        while self.follow(self.descriptor.size):
            pass
        actual = self._hash.hexdigest()
        if self._n_hashed != self.descriptor.size or actual != self.descriptor.digest.hex:
            self._throw_away(n_bytes=self.n_bytes, actual=f"sha256:{actual}")
        with os_errors(self._final):
            if self._cells is not None:
                self._cells.discard()  # a whole file needs none
                self._cells, self._length = None, self.descriptor.size
            os.fchmod(self._fd, 0o644)
            os.fsync(self._fd)
            self._partial.replace(self._final)
            sync_folder(self._final.parent)
        return self._final

    def close(self) -> None:
        """Release the partial file and keep its bytes; an empty one is removed."""
        if self._fd < 0:
            return
        with os_errors(self._partial):
            try:
                if self._was_refused:
                    self._give_back()
                if self.n_bytes == 0 and is_at(self._partial, self._fd):
                    self._forget_from(0)
                    self._partial.unlink(missing_ok=True)
            finally:
                fd, self._fd = self._fd, -1
                try:
                    if self._cells is not None:
                        self._cells.close()
                finally:
                    os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _forget_from(self, length: int) -> None:
        os.ftruncate(self._fd, length)
        if self._cells is not None:
            self._cells.discard()
            self._cells = None
        self._length = length
        self._unhash(length)

    def _unhash(self, length: int) -> None:
        if self._n_hashed > length:
            self._hash = hashlib.sha256()
            self._n_hashed = 0

    def _give_back(self) -> None:
        """Leave a full disk the room that others need for small files.

        What is given back is the last of what is here; holes before that stay what they are.
        """
        if self._cells is None:
            self._forget_from(max(0, self._length - _GIVEN_BACK_BYTES))
            return
        kept = self._cells.forget_last(_GIVEN_BACK_BYTES)
        os.ftruncate(self._fd, kept)
        self._unhash(kept)
        try:
            os.ftruncate(self._fd, self.descriptor.size)
        except OSError:
            # A file system without sparse files: the record counts only with the full length.
            self._forget_from(self._cells.end)

    def _throw_away(self, *, n_bytes: int, actual: str) -> None:
        self.restart()
        self.close()
        raise DigestMismatchError(
            expected=self.descriptor.digest.text, actual=actual, size_bytes=n_bytes
        )
