"""Room that a store keeps for itself, so that a full disk can be cleaned and its models used.

One file beside the locks, of random bytes: a file system that compresses, or leaves zeros out,
would give nothing back for others. A removal, which writes a smaller index, may use all of it; a
lease, which is one small file, a part of what no index needs. Collections, which make room, fill
it again.
"""

import errno
import os
from pathlib import Path

from pyrunner.registry.manifest import MAX_MANIFEST_BYTES

NAME = "reserve"
REMOVAL_BYTES = MAX_MANIFEST_BYTES
"""For the largest index that can be: the new one is written beside the old one."""
_LEASE_BYTES = 16 * 1024
SIZE_BYTES = REMOVAL_BYTES + 16 * _LEASE_BYTES
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_disk_full(error: OSError) -> bool:
    """Whether giving back a part of the reserve can help."""
    return error.errno in _DISK_FULL


def set_aside(path: Path) -> None:
    """Make the file whole; it is left out when there is no room."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        at = os.fstat(fd).st_size
        if at < SIZE_BYTES:
            while at < SIZE_BYTES:  # a disk that is nearly full takes a part of what it is given
                at += os.pwrite(fd, os.urandom(SIZE_BYTES - at), at)
            os.fsync(fd)
    except OSError:
        path.unlink(missing_ok=True)
    finally:
        os.close(fd)


def give_all(path: Path) -> bool:
    """Give the whole reserve to a removal; False when there is none."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def give_some(path: Path) -> bool:
    """Give enough for one lease, unless only what removals need is left."""
    try:
        size_bytes = path.stat().st_size - _LEASE_BYTES
    except FileNotFoundError:
        return False
    if size_bytes < REMOVAL_BYTES:
        return False
    os.truncate(path, size_bytes)
    return True
