"""How much long work the server takes at once.

A waitress thread is busy for the whole length of an answer. Everything that may last is admitted
by a count here, and the counts together stay below the number of threads, so that a health check,
`ps` or an unload always finds one.
"""

import threading
from types import TracebackType
from typing import Self

from pyrunner.errors import QueueFullError, ShuttingDownError

N_TRANSFERS = 8
"""Pulls, pushes and other slow answers, running or waiting for a slot; one more gets 503."""

N_BLOBS = 64
"""Blobs of the registry on their way out; one more gets 429. They hold a file and no thread."""

N_RESERVED_THREADS = 8
"""Threads that no admitted work can take."""


class Ticket:
    """One admitted piece of work. Releasing it twice does nothing."""

    def __init__(self, gate: "Gate") -> None:
        self._gate: Gate | None = gate

    def release(self) -> None:
        """Make room for the next."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class Gate:
    """A count with a limit. Any thread.

    `_lock` protects `_n_active` and `_is_draining`.
    """

    def __init__(self, *, limit: int, what: str) -> None:
        self.limit = limit
        self._what = what
        self._lock = threading.Lock()
        self._n_active = 0
        self._is_draining = False

    def admit(self) -> Ticket:
        """Take one place.

        Raises:
            QueueFullError: `limit` places are taken. Retryable.
            ShuttingDownError: The server takes nothing new. Retryable, elsewhere.
        """
        with self._lock:
            if self._is_draining:
                raise ShuttingDownError
            if self._n_active >= self.limit:
                raise QueueFullError(limit=self.limit, what=self._what)
            self._n_active += 1
        return Ticket(self)

    def leave(self) -> None:
        """Give one place back; called by `Ticket.release`."""
        with self._lock:
            self._n_active -= 1

    def drain(self) -> None:
        """Admit nothing from now on."""
        with self._lock:
            self._is_draining = True

    @property
    def n_active(self) -> int:
        """Places taken now. For display, and for a drain to wait on."""
        with self._lock:
            return self._n_active


class Admission:
    """The server's gates, and the two steps of its end. Any thread."""

    def __init__(self, *, n_streams: int, n_transfers: int = N_TRANSFERS) -> None:
        self.streams = Gate(limit=n_streams, what="streams")
        self.transfers = Gate(limit=n_transfers, what="transfers")
        self.blobs = Gate(limit=N_BLOBS, what="blob transfers")
        self._draining = threading.Event()
        self._closing = threading.Event()

    @property
    def n_active(self) -> int:
        """Streams, transfers and blobs together."""
        return self.streams.n_active + self.transfers.n_active + self.blobs.n_active

    @property
    def n_threads(self) -> int:
        """How many threads a server needs for every admitted piece of work and the reserve."""
        return self.streams.limit + self.transfers.limit + N_RESERVED_THREADS

    @property
    def is_draining(self) -> bool:
        """Nothing new is admitted."""
        return self._draining.is_set()

    @property
    def is_closing(self) -> bool:
        """What still runs has to end now."""
        return self._closing.is_set()

    def drain(self) -> None:
        """Admit nothing new; what runs may finish."""
        self._draining.set()
        self.streams.drain()
        self.transfers.drain()
        self.blobs.drain()

    def close(self) -> None:
        """End what still runs: every wait in the server looks at `is_closing`."""
        self.drain()
        self._closing.set()
