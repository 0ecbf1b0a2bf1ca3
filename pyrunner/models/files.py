"""Files written so that a crash leaves the old or the new content, and `OSError` translated."""

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pyrunner.errors import (
    PyrunnerError,
    StoreIOError,
    StoreLockedError,
    StoreReadOnlyError,
)

LOCK_TIMEOUT_S = 30.0
"""Longest wait for a lock of the store."""
_POLL_S = 0.02
_BLOCK_BYTES = 512
"""The unit of `st_blocks`, see stat(2)."""
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into a `StoreIOError` that names a path.

    The only place of the package that does so.
    """
    try:
        yield
    except PyrunnerError:
        raise
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else str(path)
        raise StoreIOError(path=named, problem=error.strerror or str(error)) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_durably(path: Path, content: bytes) -> None:
    """Replace a small file: write beside it, fsync, rename, fsync the folder.

    Only one process at a time may write one path; the caller holds the lock.
    """
    new = beside(path)
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def beside(path: Path) -> Path:
    """Where `write_durably` writes before it renames; left there by a crash in between."""
    return path.with_name(path.name + ".new")


@contextlib.contextmanager
def locked(path: Path, *, timeout_s: float, is_shared: bool = False) -> Iterator[None]:
    """Hold a lock between processes and threads; the kernel releases it if we die.

    Not reentrant: a second hold in one thread waits for itself.

    Raises:
        StoreLockedError: Somebody else held it for `timeout_s`.
        StoreReadOnlyError: The folder cannot be written; every change takes a lock first.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _READ_ONLY:
            problem = (error.strerror or "read-only").lower()
            raise StoreReadOnlyError(path=str(path.parent.parent), problem=problem) from error
        raise
    try:
        deadline = time.monotonic() + timeout_s
        while not try_lock(fd, is_shared=is_shared):
            if time.monotonic() >= deadline:
                raise StoreLockedError(path=str(path), timeout_s=timeout_s)
            threading.Event().wait(_POLL_S)
        yield
    finally:
        os.close(fd)


def try_lock(fd: int, *, is_shared: bool = False) -> bool:
    """Take a flock if nobody else holds it."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def allocated_bytes(path: Path) -> int:
    """What a file takes on the disk, holes not counted and links not followed; 0 if it is gone."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    return min(status.st_size, status.st_blocks * _BLOCK_BYTES)


def is_at(path: Path, fd: int) -> bool:
    """Whether an open file still has this name: what was locked may have been moved since."""
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False
