"""Keeper connections: what this server uses stays, and its end is noticed at once."""

import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from pyrunner import log
from pyrunner.errors import ShuttingDownError, WorkerProtocolError
from pyrunner.runtime.ledger import Entry
from pyrunner.runtime.link import Link, dial
from pyrunner.wire.launch import EXIT_S

_logger = log.get("runtime")

_JOIN_S = EXIT_S + 2.0
"""`on_ended` may wait for the end of a worker."""


class Supervisor:
    """One keeper connection per used worker, and the thread that sees them end.

    Any thread may call any method. `_lock` protects `_kept`, `_thread` and `_is_closed`.

    Args:
        on_ended: Called by the ``supervisor`` thread for a worker that has ended.
    """

    def __init__(self, on_ended: Callable[[Entry], None]) -> None:
        self._on_ended = on_ended
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[Entry, Link]] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._bell: socket.socket | None = None

    def keep(self, entry: Entry, check: Callable[[], None]) -> bool:
        """Hold on to a worker; False when it is gone or leaving.

        Raises:
            TimeoutError: It does not answer.
            ShuttingDownError: `close` was called, or the thread failed.
        """
        if self.keeps(entry):
            return True
        link = dial(entry, None, check=check)
        if link is None:
            return False
        link.rest()
        with self._lock:
            if self._is_closed:
                link.close()
                raise ShuttingDownError
            if entry.socket in self._kept:
                # Another thread was faster, or what it holds has just broken.
                link.close()
                return True
            self._kept[entry.socket] = (entry, link)
            if self._thread is None:
                self._start()
            self._ring()
        return True

    def keeps(self, entry: Entry) -> bool:
        """Whether the worker is there right now, and ours. Costs one system call."""
        kept = self._kept.get(entry.socket)
        return kept is not None and kept[1].is_connected()

    def close(self) -> None:
        """Let go of all workers and end the thread."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
            self._ring()
        if thread is not None:
            thread.join(_JOIN_S)

    def _start(self) -> None:
        ear, self._bell = socket.socketpair()
        self._thread = threading.Thread(
            target=self._run, args=(ear,), name="supervisor", daemon=True
        )
        self._thread.start()

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.send(b"!")

    def _run(self, ear: socket.socket) -> None:
        try:
            self._watch(ear)
        except Exception:
            # The thread's root. Workers are found dead by their next use, too, only later.
            _logger.exception("the supervisor failed")
        finally:
            self._let_go(ear)

    def _watch(self, ear: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(ear, selectors.EVENT_READ, None)
            watched: set[str] = set()
            while True:
                with self._lock:
                    if self._is_closed:
                        return
                    new = [kept for name, kept in self._kept.items() if name not in watched]
                for entry, link in new:
                    watched.add(entry.socket)
                    selector.register(link, selectors.EVENT_READ, (entry, link))
                for key, _ in selector.select():
                    if key.data is None:
                        ear.recv(4096)
                        continue
                    entry, link = key.data
                    with suppress(WorkerProtocolError):
                        link.receive(0.0)  # a worker says nothing on it, so this is its end
                    if link.is_at_end:
                        selector.unregister(link)
                        watched.discard(entry.socket)
                        self._forget(entry, link)

    def _forget(self, entry: Entry, link: Link) -> None:
        with self._lock:
            self._kept.pop(entry.socket, None)
        link.close()
        self._on_ended(entry)

    def _let_go(self, ear: socket.socket) -> None:
        with self._lock:
            self._is_closed = True
            for _, link in self._kept.values():
                link.close()
            self._kept.clear()
            ear.close()
            if self._bell is not None:
                self._bell.close()
                self._bell = None
