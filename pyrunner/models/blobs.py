"""Blobs: checked bytes under their digest, and the way in.

A blob is written to a partial file outside ``blobs/``; `Incoming.publish` verifies, fsyncs and
renames it, and nothing else gives a file its final name.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from pyrunner.errors import DigestMismatchError, StoreCorruptError
from pyrunner.models.files import is_at, os_errors, sync_folder, try_lock
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import Descriptor

_CHUNK_BYTES = 1024 * 1024
_GIVEN_BACK_BYTES = 1024 * 1024
_POLL_S = 0.2


class Incoming:
    """A blob on its way into the store, resumable.

    Opened by `open_incoming`, which holds the partial file's lock. The constructor hashes what an
    earlier attempt left. Leaving the context keeps the partial file for the next attempt, unless
    its bytes turned out to be wrong. One thread at a time.

    Attributes:
        descriptor: What the blob has to be.
        n_bytes: How much of it is there, 0..`descriptor.size`.
    """

    def __init__(self, descriptor: Descriptor, fd: int, partial: Path, final: Path) -> None:
        self.descriptor = descriptor
        self.n_bytes = 0
        self._partial = partial
        self._final = final
        self._hash = hashlib.sha256()
        self._file = os.fdopen(fd, "r+b", buffering=0)
        self._hash_what_is_there()

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            DigestMismatchError: More bytes than the descriptor promised; the partial is gone.
            StoreIOError: The disk is full, or worse. The sink is closed.
        """
        if self.n_bytes + len(chunk) > self.descriptor.size:
            self._throw_away(n_bytes=self.n_bytes + len(chunk), actual="of a longer blob")
        with os_errors(self._partial):
            try:
                view = memoryview(chunk)
                while view:
                    view = view[self._file.write(view) :]
            except OSError:
                self._give_back()
                raise
        self._hash.update(chunk)
        self.n_bytes += len(chunk)

    def restart(self) -> None:
        """Forget what is there: the source cannot continue in the middle."""
        with os_errors(self._partial):
            self._file.seek(0)
            self._file.truncate()
        self._hash = hashlib.sha256()
        self.n_bytes = 0

    def publish(self) -> Path:
        """Give the blob its final name, durably. The only way to one.

        Raises:
            DigestMismatchError: Size or digest is wrong; the partial is gone.
            StoreIOError: The disk is full, or worse.
        """
        actual = self._hash.hexdigest()
        if self.n_bytes != self.descriptor.size or actual != self.descriptor.digest.hex:
            self._throw_away(n_bytes=self.n_bytes, actual=f"sha256:{actual}")
        with os_errors(self._final):
            os.fchmod(self._file.fileno(), 0o644)
            os.fsync(self._file.fileno())
            self._partial.replace(self._final)
            sync_folder(self._final.parent)
        return self._final

    def close(self) -> None:
        """Release the partial file and keep its bytes; an empty one is removed."""
        if self._file.closed:
            return
        with os_errors(self._partial):
            if self.n_bytes == 0 and is_at(self._partial, self._file.fileno()):
                self._partial.unlink(missing_ok=True)
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _hash_what_is_there(self) -> None:
        with os_errors(self._partial):
            if os.fstat(self._file.fileno()).st_size > self.descriptor.size:
                self.restart()
            while chunk := self._file.read(_CHUNK_BYTES):
                self._hash.update(chunk)
                self.n_bytes += len(chunk)

    def _give_back(self) -> None:
        """Close, leaving a full disk the room that a removal needs to write the index."""
        with self._file:
            self._file.truncate(max(0, self.n_bytes - _GIVEN_BACK_BYTES))

    def _throw_away(self, *, n_bytes: int, actual: str) -> None:
        self.restart()
        self.close()
        raise DigestMismatchError(
            expected=self.descriptor.digest.text, actual=actual, size_bytes=n_bytes
        )


class BlobFolder:
    """``blobs/sha256`` of one layout and the folder of its partial files. Any thread."""

    def __init__(self, blobs: Path, incoming: Path) -> None:
        self._blobs = blobs
        self._incoming = incoming

    def path(self, digest: str) -> Path:
        """Where the blob is, or will be."""
        return self._blobs / Digest(digest).hex

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is here whole. True means anything only under a lease."""
        path = self.path(descriptor.digest)
        with os_errors(path):
            try:
                return path.stat().st_size == descriptor.size
            except FileNotFoundError:
                return False

    def read(self, digest: str, *, max_bytes: int) -> bytes:
        """A small blob (manifest, config), compared with its digest.

        Raises:
            StoreCorruptError: Missing, too large, or other bytes than its digest says.
        """
        path = self.path(digest)
        with os_errors(path):
            try:
                with path.open("rb") as file:
                    content = file.read(max_bytes + 1)
            except FileNotFoundError as error:
                raise StoreCorruptError(path=str(path), problem="the blob is missing") from error
        if len(content) > max_bytes or Digest.of(content) != digest:
            raise StoreCorruptError(path=str(path), problem="the blob has another digest")
        return content

    def open_incoming(
        self, descriptor: Descriptor, is_cancelled: Callable[[], bool] = bool
    ) -> Incoming | None:
        """The way in for one blob, once nobody else is writing it.

        Waits while another pull (of this process or another) writes the same blob. The caller
        holds a lease on the digest.

        Args:
            descriptor: The blob.
            is_cancelled: Asked every 0.2 s while waiting.

        Returns:
            A sink, or None when the blob is here, or when the wait was cancelled.
        """
        partial = self._incoming / f"{descriptor.digest.hex}.partial"
        with os_errors(partial):
            while not self.has(descriptor):
                fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                # The name may have moved to blobs/ between open and lock; that file is not ours.
                if try_lock(fd) and is_at(partial, fd):
                    if not self.has(descriptor):
                        return Incoming(descriptor, fd, partial, self.path(descriptor.digest))
                    partial.unlink()
                os.close(fd)
                if is_cancelled():
                    return None
                threading.Event().wait(_POLL_S)
        return None
