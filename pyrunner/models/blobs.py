"""Blobs: checked bytes under their digest, and the way in.

A blob is written to a partial file outside ``blobs/``; `Incoming.publish` verifies, fsyncs and
renames it. The only other way to a final name is `adoption`'s: a hard link to a file of another
program's store, hashed before.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from pyrunner.errors import StoreCorruptError
from pyrunner.models.cells import bytes_here
from pyrunner.models.files import allocated_bytes, is_at, os_errors, try_lock
from pyrunner.models.incoming import Incoming
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import Descriptor

__all__ = ["BlobFolder", "Incoming", "WaitCancelledError", "no_one"]

_POLL_S = 0.2


def no_one(_n_bytes: int) -> None:
    """Tell nobody how much is there."""


class WaitCancelledError(Exception):
    """Waiting for another writer of a blob was given up; whether it comes is open.

    For whoever passed `is_cancelled`, who says what it means for the person.
    """


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

    def partial_bytes(self) -> int:
        """What blobs on their way in take on the disk, those that were given up included."""
        with os_errors(self._incoming):
            return sum(allocated_bytes(each) for each in self._incoming.iterdir())

    def bytes_here(self, descriptor: Descriptor) -> int:
        """How much of a blob is here, whole or partial, to a MiB."""
        if self.has(descriptor):
            return descriptor.size
        with os_errors(self._incoming):
            return bytes_here(self._partial(descriptor), descriptor.size)

    def open_incoming(
        self,
        descriptor: Descriptor,
        is_cancelled: Callable[[], bool] = bool,
        on_waiting: Callable[[int], None] = no_one,
    ) -> Incoming | None:
        """The way in for one blob, once nobody else is writing it.

        Waits while another pull (of this process or another) writes the same blob. The caller
        holds a lease on the digest.

        Args:
            descriptor: The blob.
            is_cancelled: Asked every 0.2 s while waiting.
            on_waiting: Told as often how much the other one has.

        Returns:
            A sink, or None when the blob is here.

        Raises:
            WaitCancelledError: `is_cancelled` said so.
        """
        partial = self._partial(descriptor)
        pause = threading.Event()
        with os_errors(partial):
            while not self.has(descriptor):
                sink = self._try_open(descriptor, partial)
                if sink is not None:
                    return sink
                if is_cancelled():
                    raise WaitCancelledError
                on_waiting(bytes_here(partial, descriptor.size))
                pause.wait(_POLL_S)
        return None

    def _try_open(self, descriptor: Descriptor, partial: Path) -> Incoming | None:
        """Open the way in; None while somebody else writes the blob, or when it has just come."""
        fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # The name may have moved to blobs/ between open and lock; that file is not ours.
            if try_lock(fd) and is_at(partial, fd):
                if not self.has(descriptor):
                    return Incoming(descriptor, fd, partial, self.path(descriptor.digest))
                partial.unlink()
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return None

    def _partial(self, descriptor: Descriptor) -> Path:
        return self._incoming / f"{descriptor.digest.hex}.partial"
