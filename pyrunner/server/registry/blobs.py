"""Blobs on their way out: leased, read from disk in pieces, never whole in memory.

A `BlobBody` is a file for the WSGI server's wrapper. waitress sends such files from its loop, so
that a blob holds no thread however slow its reader is.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from pyrunner.errors import StoreCorruptError
from pyrunner.models.files import os_errors
from pyrunner.models.store import Store
from pyrunner.registry.manifest import Descriptor
from pyrunner.server.admission import Gate
from pyrunner.server.registry.ranges import Slice


class BlobBody:
    """One slice of a blob as a file of its own. One thread at a time.

    Args:
        file: The blob, not buffered.
        part: Which bytes.
        cleanup: What ends with it: the file, the lease, the place among the answers.
    """

    def __init__(self, file: BinaryIO, part: Slice, cleanup: ExitStack) -> None:
        self._file = file
        self._part = part
        self._cleanup = cleanup
        file.seek(part.start)

    def read(self, n_bytes: int | None = None, /) -> bytes:
        """At most so many bytes, none at the end of the slice."""
        n_left = max(0, self._part.n_bytes - self.tell())
        return self._file.read(n_left if n_bytes is None else min(n_bytes, n_left))

    def seekable(self) -> bool:
        """It is: so the wrapper learns how long it is."""
        return True

    def tell(self) -> int:
        """Bytes after the beginning of the slice."""
        return self._file.tell() - self._part.start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move within the slice."""
        origins = (0, self.tell(), self._part.n_bytes)
        self._file.seek(self._part.start + origins[whence] + offset)
        return self.tell()

    def close(self) -> None:
        """Let go of everything. Called by the WSGI server, whatever happened; twice is once."""
        self._cleanup.close()


def open_body(store: Store, gate: Gate, blob: Descriptor, part: Slice) -> BlobBody | None:
    """Lease a blob and open it; None when it is not in the store.

    Args:
        store: Where it is.
        gate: Counts the answers that are under way.
        blob: Its descriptor; the lease comes first and the look afterwards.
        part: Which bytes.

    Raises:
        BusyError: Too many blobs are under way, or the server is ending.
        StoreCorruptError: The file has another size.
        StoreLockedError: A collection took longer than 30 s.
    """
    path = store.blobs.path(blob.digest)
    with ExitStack() as stack, os_errors(path):
        stack.enter_context(gate.admit())
        stack.enter_context(store.lease([blob.digest]))
        file = _open(path)
        if file is None:
            return None
        stack.enter_context(file)
        if os.fstat(file.fileno()).st_size != blob.size:
            raise StoreCorruptError(path=str(path), problem="the blob has another size")
        return BlobBody(file, part, stack.pop_all())


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None
