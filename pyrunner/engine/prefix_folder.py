"""The folder of kept prefixes: what is there, and room for what comes, among several processes.

::

    <store>/.pyrunner/prefixes/lock            flock'ed while room is made
    <store>/.pyrunner/prefixes/<model>/*.prefix
    <store>/.pyrunner/prefixes/<model>/*.new   being written, flock'ed by who writes it

A file appears under its name when all of it is on the disk, and is never changed. It may vanish at
any time; who has it open reads on.
"""

import fcntl
import os
import secrets
import stat
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyrunner.engine.prefix_file import SUFFIX, is_private

_NEW_SUFFIX = ".new"
_LOCK_NAME = "lock"
_LOCK_POLL_S = 0.01
_PRIVATE_MODE = 0o600
_MAKING = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class PrefixFolder:
    """The files of one model, beside those of others. Any thread; raises OSError.

    Args:
        path: Made by whoever starts the worker; when it is gone, so is the model.
        pause: Waits so many seconds.
    """

    def __init__(self, path: Path, pause: Callable[[float], object] | None = None) -> None:
        self.path = path
        self._pause = pause or threading.Event().wait

    def is_private(self) -> bool:
        """Whether it is a folder of this user alone."""
        status = self.path.lstat()
        return stat.S_ISDIR(status.st_mode) and is_private(status)

    def changed_ns(self) -> int:
        """Becomes another number when a file comes or goes."""
        return self.path.stat().st_mtime_ns

    def files(self) -> list[Path]:
        """All prefixes of this model, the latest used first."""
        return [path for _, path, _ in sorted(_dated(self.path, SUFFIX), reverse=True)]

    def remove_leavings(self) -> None:
        """Remove what processes that died were writing here."""
        for _, path, _ in _dated(self.path, _NEW_SUFFIX):
            with suppress(FileNotFoundError):
                fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                except BlockingIOError:
                    pass  # somebody is alive
                finally:
                    os.close(fd)

    @contextmanager
    def adding(
        self,
        name: str,
        size_bytes: int,
        budget_bytes: int,
        spared: Collection[str],
        check: Callable[[], None],
    ) -> Iterator[int | None]:
        """Make room for a file, let it be written, and publish it.

        The least recently used files of all models go first. What others are writing counts as
        much as what is there, so that the budget holds whoever saves at the same time.

        Args:
            name: Of the file.
            size_bytes: Of the file, which takes them at once.
            budget_bytes: Of all files of all models.
            spared: Names in this folder that stay.
            check: Called while waiting for other processes; may raise.

        Yields:
            A descriptor to write to and sync, or None when there is no room. The file is published
            on leaving, unless by an exception.
        """
        path = self.path / f"{name}.{secrets.token_hex(4)}{_NEW_SUFFIX}"
        with self._locked(check):
            if not self._make_room(size_bytes, budget_bytes, spared):
                yield None
                return
            fd = os.open(path, _MAKING | os.O_EXCL, _PRIVATE_MODE)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            os.ftruncate(fd, size_bytes)
            yield fd
            path.replace(self.path / name)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)

    @contextmanager
    def _locked(self, check: Callable[[], None]) -> Iterator[None]:
        fd = os.open(self.path.parent / _LOCK_NAME, _MAKING, _PRIVATE_MODE)
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    check()
                    self._pause(_LOCK_POLL_S)
            yield
        finally:
            os.close(fd)

    def _make_room(self, size_bytes: int, budget_bytes: int, spared: Collection[str]) -> bool:
        """Remove what has to go for a file; nothing when that would not be enough."""
        going, taken = [], 0
        for folder in self.path.parent.iterdir():
            with suppress(NotADirectoryError, FileNotFoundError):
                for dated in _dated(folder, SUFFIX) + _dated(folder, _NEW_SUFFIX):
                    _, path, size = dated
                    taken += size
                    is_spared = folder == self.path and path.name in spared
                    if path.suffix == SUFFIX and not is_spared:
                        going.append(dated)
        if taken - sum(size for _, _, size in going) + size_bytes > budget_bytes:
            return False
        going.sort(reverse=True)
        while taken + size_bytes > budget_bytes:
            _, path, size = going.pop()
            path.unlink(missing_ok=True)
            taken -= size
        return True


def _dated(folder: Path, suffix: str) -> list[tuple[int, Path, int]]:
    """Files with this ending: when they were used last, where they are, and their sizes."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(suffix):
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime_ns, Path(entry.path), status.st_size))
    return found
