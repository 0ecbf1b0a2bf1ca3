"""Leases: what keeps blobs alive while something uses them.

A lease is a flock'ed file that names digests. Its holder dying releases it, whatever killed it.
Taking a lease passes the collection lock, so a collection sees a lease or has finished before it.
"""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from pyrunner.models import reserve
from pyrunner.models.files import LOCK_TIMEOUT_S, locked, try_lock
from pyrunner.registry.digest import Digest


class Lease:
    """A promise that these digests are not collected. One owner; not for several threads."""

    def __init__(self, path: Path | None, fd: int, digests: frozenset[str]) -> None:
        self.digests = digests
        self.path = path
        """The file, for the child that the lease is handed to, which removes it when it ends.

        None for a stand-in that has no file of its own.
        """
        self._fd = fd

    def fileno(self) -> int:
        """The descriptor to pass to a child process that shall hold the lease as well."""
        return self._fd

    def hand_over(self) -> None:
        """Close our descriptor and leave the lease to the child that inherited it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """End the lease, also for a child that shares it. May be called twice."""
        if self._fd >= 0:
            if self.path is not None:
                self.path.unlink(missing_ok=True)
            self.hand_over()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def take(folder: Path, lock: Path, digests: Iterable[str]) -> Lease:
    """Lease digests, whether their blobs exist or not: lease first, look afterwards."""
    wanted = frozenset(digests)
    path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
    with locked(lock, timeout_s=LOCK_TIMEOUT_S, is_shared=True):
        try:
            fd = _create(path, wanted)
        except OSError as error:
            if not reserve.is_disk_full(error) or not reserve.give_some(
                lock.with_name(reserve.NAME)
            ):
                raise
            fd = _create(path, wanted)
    return Lease(path, fd, wanted)


def _create(path: Path, digests: frozenset[str]) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try_lock(fd)
        with os.fdopen(fd, "w", closefd=False) as file:
            file.write("".join(f"{each}\n" for each in sorted(digests)))
    except BaseException:
        path.unlink(missing_ok=True)
        os.close(fd)
        raise
    return fd


def unneeded(digests: Iterable[str]) -> Lease:
    """Stand in for a lease in a store that this process cannot write.

    Nothing protects the blobs if somebody else can write there; a model that is removed before
    it was opened then fails to load, and one that was opened goes on.
    """
    fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return Lease(None, fd, frozenset(digests))


def leased(folder: Path) -> set[str]:
    """All digests under a living lease; files of dead ones are removed.

    The caller holds the collection lock exclusively.
    """
    digests: set[str] = set()
    for path in sorted(folder.iterdir()):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            if try_lock(fd):
                path.unlink(missing_ok=True)
            else:
                with os.fdopen(fd, closefd=False) as file:
                    digests.update(Digest(line) for line in file.read().split())
        finally:
            os.close(fd)
    return digests
