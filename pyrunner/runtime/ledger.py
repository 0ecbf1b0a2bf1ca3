"""Which workers there are: one JSON file under one flock, shared by all servers of a folder.

Whoever holds the lock decides. It is held for reading, deciding, starting a process and asking
workers for their state with a bounded wait; never while waiting for a model to load or a worker
to end. The file carries no promise beyond a reboot, so it is replaced by rename without fsync.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pyrunner import log
from pyrunner.errors import StoreIOError, StoreLockedError
from pyrunner.runtime import processes
from pyrunner.runtime.folder import RuntimeFolder
from pyrunner.types import ModelMode

_logger = log.get("runtime")

MAX_LEDGER_BYTES = 1024 * 1024
"""A larger file is not ours."""

LOCK_S = 10.0
"""Longest wait for the lock where nobody's patience limits it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process. `socket` identifies it."""

    socket: str
    """Full path of its socket."""
    reference: str
    model_id: str
    mode: ModelMode
    pid: int
    started: str
    """`processes.started_at` of the pid, against its reuse."""
    size_bytes: int
    last_used: float
    """Unix time in seconds, as of the last time a server looked; the worker knows better."""
    config_hash: str
    is_leaving: bool = False
    """It takes no more requests, but its memory is not back yet."""

    @property
    def key(self) -> tuple[str, ModelMode]:
        """What a request asks for."""
        return (self.model_id, self.mode)

    def is_alive(self) -> bool:
        """Whether its process is still there."""
        return processes.is_alive(self.pid, self.started)


class _File(msgspec.Struct, frozen=True):
    workers: list[Entry]


class Page:
    """The ledger while the lock is held."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = {entry.socket: entry for entry in _read(path)}
        self.is_changed = False

    def entries(self) -> list[Entry]:
        """All of them, in the order they were started."""
        return list(self._entries.values())

    def put(self, entry: Entry) -> None:
        """Add a worker, or replace what is known about it."""
        if self._entries.get(entry.socket) != entry:
            self._entries[entry.socket] = entry
            self.is_changed = True

    def remove(self, socket: str) -> None:
        """Forget a worker."""
        if self._entries.pop(socket, None) is not None:
            self.is_changed = True

    def save(self) -> None:
        """Write what was changed now, for whoever has to know that it worked.

        Raises:
            StoreIOError: The disk is full, say.
        """
        if self.is_changed:
            _write(self._path, self.entries())
            self.is_changed = False

    def mark_leaving(self, socket: str) -> None:
        """Remember that a worker takes no more requests; unknown ones are ignored."""
        entry = self._entries.get(socket)
        if entry is not None:
            self.put(msgspec.structs.replace(entry, is_leaving=True))

    def find(self, model_id: str, mode: ModelMode) -> Entry | None:
        """The worker that takes requests for a model; there is at most one."""
        for entry in self._entries.values():
            if entry.key == (model_id, mode) and not entry.is_leaving:
                return entry
        return None


class Ledger:
    """Any thread, any process."""

    def __init__(self, folder: RuntimeFolder) -> None:
        self._folder = folder
        # flock excludes descriptors, not threads; the second lock keeps our own threads in order.
        self._threads = threading.Lock()

    @contextmanager
    def locked(self, check: Callable[[], None] | None = None) -> Iterator[Page]:
        """Hold the lock; what was changed is written when the block ends, also by an exception.

        Entries of dead processes, and sockets that no entry has, are gone before the block sees
        the page.

        Args:
            check: Called about every 10 ms while waiting for the lock; raises to give up. None
                waits `LOCK_S`.

        Raises:
            StoreIOError: The folder cannot be read or written.
            StoreLockedError: `LOCK_S` are over.
        """
        check = self._check() if check is None else check
        while not self._threads.acquire(timeout=_LOCK_POLL_S):
            check()
        try:
            descriptor = _open_locked(self._folder.lock, check)
            try:
                page = Page(self._folder.ledger)
                _sweep(page, self._folder)
                try:
                    yield page
                finally:
                    page.save()
            finally:
                os.close(descriptor)
        finally:
            self._threads.release()

    def _check(self) -> Callable[[], None]:
        deadline = time.monotonic() + LOCK_S

        def check() -> None:
            if time.monotonic() >= deadline:
                raise StoreLockedError(path=str(self._folder.lock), timeout_s=LOCK_S)

        return check

    def snapshot(self) -> list[Entry]:
        """Living workers, without the lock: informs, never decides."""
        return [entry for entry in _read(self._folder.ledger) if entry.is_alive()]


_LOCK_POLL_S = 0.01


def _open_locked(path: Path, check: Callable[[], None]) -> int:
    pause = threading.Event()
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreIOError(path=str(path), problem=error.strerror or str(error)) from error
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                check()
                pause.wait(_LOCK_POLL_S)
            else:
                return descriptor
    except BaseException:
        os.close(descriptor)
        raise


def _read(path: Path) -> list[Entry]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LEDGER_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreIOError(path=str(path), problem=error.strerror or str(error)) from error
    try:
        # A file that is too long was cut, so it is no JSON any more.
        return msgspec.json.decode(data, type=_File).workers
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Workers it named lose their keepers' servers sooner or later and leave by themselves.
        _logger.warning("%s is not a ledger (%s); starting an empty one", path, error)
        return []


def _write(path: Path, entries: list[Entry]) -> None:
    partial = path.with_name("ledger.new")
    try:
        partial.write_bytes(msgspec.json.encode(_File(entries)))
        partial.replace(path)
    except OSError as error:
        raise StoreIOError(path=str(path), problem=error.strerror or str(error)) from error


def _sweep(page: Page, folder: RuntimeFolder) -> None:
    for entry in page.entries():
        if not entry.is_alive():
            page.remove(entry.socket)
    # Sockets are bound under this lock, so one without an entry belongs to nobody.
    owned = {entry.socket for entry in page.entries()}
    for path in folder.all_sockets():
        if str(path) not in owned:
            path.unlink(missing_ok=True)
    if page.is_changed:
        folder.sweep_logs()
