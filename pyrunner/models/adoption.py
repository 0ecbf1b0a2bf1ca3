"""Bringing a file of another store in as a blob, without a second copy where that is possible."""

import errno
import hashlib
import os
from enum import Enum
from pathlib import Path

from pyrunner.errors import DigestMismatchError, ModelFileError
from pyrunner.models.files import os_errors, sync_folder
from pyrunner.models.foreign import opened
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
        path: The file; `foreign.check_inside` has seen where its symbolic links lead.
        lease: Covers the digest.

    Raises:
        ModelFileError: It cannot be read, has other bytes, or changed meanwhile.
        StoreIOError: The disk is full, or worse.
    """
    if store.blobs.has(descriptor):
        return Adoption.PRESENT
    with opened(path) as fd:
        before = os.fstat(fd)
        if before.st_size != descriptor.size or _digest(path, fd) != descriptor.digest.hex:
            raise ModelFileError(path=str(path), problem="has other bytes than its name promises")
        if _link(fd, store.blobs.path(descriptor.digest), before):
            return Adoption.LINKED
        return _copy(store, descriptor, path, fd, lease)


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


def _link(fd: int, final: Path, before: os.stat_result) -> bool:
    """Give the open file, and no other that took its name since, one more name; durably.

    It is compared with `before` for the last time before it has the name and never afterwards:
    from then on others may count on the name, so it can no longer be taken away.
    """
    with os_errors(final):
        folder = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
            if not _is_unchanged(before, fd):
                return False  # the copy says so
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


def _copy(store: Store, descriptor: Descriptor, path: Path, fd: int, lease: Lease) -> Adoption:
    sink = store.incoming(descriptor, lease)
    if sink is None:
        return Adoption.PRESENT
    with sink:
        try:
            with user_file_errors(path):
                offset = sink.append_from()
                while chunk := os.pread(fd, _CHUNK_BYTES, offset):
                    sink.write(chunk)
                    offset += len(chunk)
            sink.publish()
        except DigestMismatchError as error:
            problem = "changed while it was read; try again"
            raise ModelFileError(path=str(path), problem=problem) from error
    return Adoption.COPIED
