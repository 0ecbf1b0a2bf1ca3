"""Bringing a file of another store in as a blob, without a second copy where that is possible."""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from pyrunner.errors import DigestMismatchError, ModelFileError
from pyrunner.models.files import os_errors, sync_folder
from pyrunner.models.leases import Lease
from pyrunner.models.store import Store
from pyrunner.registry.manifest import Descriptor
from pyrunner.user_files import user_file_errors

_CHUNK_BYTES = 1024 * 1024
_CANNOT_LINK = (
    *(errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOENT),
    *(errno.EOPNOTSUPP, errno.ENOTDIR),
)
"""Another file system, one without links, somebody else's file, or a system without /proc."""


class Adoption(Enum):
    """How a blob came in."""

    PRESENT = "present"
    LINKED = "linked"
    COPIED = "copied"


def adopt(store: Store, descriptor: Descriptor, path: Path, lease: Lease) -> Adoption:
    """Make a file a blob: hashed first, then hard-linked, or copied where that is impossible.

    A linked blob shares its bytes with the other store. Neither pyrunner nor the programs that
    this is meant for write into a finished blob; they replace and unlink, which leaves our name
    and our bytes alone. A third program that writes into the file damages both, and
    ``store verify`` tells.

    Args:
        store: Where it goes.
        descriptor: What it has to be.
        path: The file; a symbolic link is followed.
        lease: Covers the digest.

    Raises:
        ModelFileError: It cannot be read, has other bytes, or changed meanwhile.
        StoreIOError: The disk is full, or worse.
    """
    if store.blobs.has(descriptor):
        return Adoption.PRESENT
    with _opened(path) as fd:
        before = os.fstat(fd)
        if _digest(path, fd) != descriptor.digest.hex or before.st_size != descriptor.size:
            raise ModelFileError(path=str(path), problem="has other bytes than its name promises")
        final = store.blobs.path(descriptor.digest)
        if _is_unchanged(before, fd) and _link(fd, final):
            if _is_unchanged(before, fd):
                return Adoption.LINKED
            with os_errors(final):
                final.unlink()
            raise ModelFileError(path=str(path), problem="changed while it was read; try again")
        _copy(store, descriptor, path, fd, lease)
        return Adoption.COPIED


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    with user_file_errors(path):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ModelFileError(path=str(path), problem="is no regular file")
        yield fd
    finally:
        os.close(fd)


def _digest(path: Path, fd: int) -> str:
    digest = hashlib.sha256()
    offset = 0
    with user_file_errors(path):
        while chunk := os.pread(fd, _CHUNK_BYTES, offset):
            digest.update(chunk)
            offset += len(chunk)
    return digest.hexdigest()


def _is_unchanged(before: os.stat_result, fd: int) -> bool:
    now = os.fstat(fd)
    return (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns)


def _link(fd: int, final: Path) -> bool:
    """Give the open file, and no other that took its name since, one more name; durably."""
    with os_errors(final):
        folder = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
            # Given a folder, Python calls linkat with AT_SYMLINK_FOLLOW, so that the link leads
            # to the open file itself.
            os.link(f"/proc/self/fd/{fd}", final.name, dst_dir_fd=folder, follow_symlinks=True)
        except FileExistsError:
            return False  # a damaged blob, which the copy replaces
        except OSError as error:
            if error.errno in _CANNOT_LINK:
                return False
            raise
        finally:
            os.close(folder)
        sync_folder(final.parent)
    return True


def _copy(store: Store, descriptor: Descriptor, path: Path, fd: int, lease: Lease) -> None:
    sink = store.incoming(descriptor, lease)
    if sink is None:
        return
    with sink:
        try:
            while chunk := os.pread(fd, _CHUNK_BYTES, sink.n_bytes):
                sink.write(chunk)
            sink.publish()
        except DigestMismatchError as error:
            problem = "changed while it was read; try again"
            raise ModelFileError(path=str(path), problem=problem) from error
