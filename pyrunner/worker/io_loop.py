"""The I/O thread: waits for sockets, signals and the engine, and lets `Service` act on them."""

import contextlib
import math
import selectors
import socket
from collections.abc import Callable
from pathlib import Path

from pyrunner import log
from pyrunner.errors import QueueFullError, WorkerProtocolError
from pyrunner.worker.answers import failed
from pyrunner.worker.connection import Connection
from pyrunner.worker.messages import Mailbox
from pyrunner.worker.service import Service

_logger = log.get("worker")

MAX_CONNECTIONS = 512
"""Open at once, within the usual limit of 1024 descriptors; one more is refused."""

HELLO_S = 10.0
"""How long a peer may take to greet and to say what it wants, after it was accepted."""

FLUSH_S = 1.0
"""How long a worker that leaves waits for its last frames to be read."""

_HOUSEKEEPING_S = 1.0


class IoLoop:
    """Only the I/O thread uses it.

    Args:
        listener: Bound and listening; closed and its path removed when the worker drains.
        clock: Seconds; the one `service` was made with.
        on_housekeeping: Called about once a second while there is anything to do.
    """

    def __init__(
        self,
        listener: socket.socket,
        service: Service,
        mailbox: Mailbox,
        clock: Callable[[], float],
        on_housekeeping: Callable[[], None],
    ) -> None:
        self.max_connections = MAX_CONNECTIONS
        self._listener: socket.socket | None = listener
        self._service = service
        self._mailbox = mailbox
        self._clock = clock
        self._on_housekeeping = on_housekeeping
        self._next_housekeeping_s = -math.inf
        self._connections: set[Connection] = set()
        self._changed: set[Connection] = set()
        self._selector = selectors.DefaultSelector()
        listener.settimeout(0.0)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._selector.register(mailbox, selectors.EVENT_READ, self._take_reports)

    def run(self) -> None:
        """Serve until the worker's life is over, then give the last frames time to leave."""
        while not self.turn(self._timeout_s()):
            pass
        self._stop_listening()
        deadline_s = self._clock() + FLUSH_S
        while any(each.wants_write for each in self._connections):
            left_s = deadline_s - self._clock()
            if left_s <= 0:
                break
            self._wait(left_s)

    def turn(self, timeout_s: float | None) -> bool:
        """Wait for events for at most `timeout_s`, act on them. True: it is over."""
        self._wait(timeout_s)
        self._keep_house()
        is_over = self._service.turn()
        self._settle()
        if self._service.is_draining:
            self._stop_listening()
        return is_over

    def close(self) -> None:
        """Close every socket. The peers of an unloading worker learn by it that it is over."""
        self._stop_listening()
        for each in self._connections:
            each.sock.close()
        self._connections.clear()
        self._selector.close()

    def _timeout_s(self) -> float | None:
        left_s = self._service.due_s() - self._clock()
        # An idle worker sleeps: only keepers are connected, and those owe it nothing.
        if self._service.is_busy or any(map(self._service.is_owing, self._connections)):
            left_s = min(left_s, _HOUSEKEEPING_S)
        return None if math.isinf(left_s) and left_s > 0 else max(0.0, left_s)

    def _wait(self, timeout_s: float | None) -> None:
        for key, events in self._selector.select(timeout_s):
            if isinstance(key.data, Connection):
                if events & selectors.EVENT_WRITE:
                    key.data.flush()
                if events & selectors.EVENT_READ:
                    self._read(key.data)
            else:
                key.data()
        self._settle()

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            sock, _ = self._listener.accept()
        except OSError as error:  # gone again, or out of descriptors: the next turn tries again
            _logger.warning("accept: %s", error)
            return
        connection = Connection(sock, self._clock(), self._changed.add)
        if len(self._connections) >= self.max_connections:
            full = QueueFullError(limit=self.max_connections, what="connections of this worker")
            connection.send(failed(full))
            sock.close()
            return
        self._connections.add(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection)
        self._service.on_opened(connection)

    def _read(self, connection: Connection) -> None:
        try:
            for frame in connection.receive():
                if connection.is_closed:
                    return
                self._service.on_frame(connection, frame)
        except WorkerProtocolError as error:
            _logger.warning("connection closed: %s", error)
            connection.drop()

    def _take_reports(self) -> None:
        for report in self._mailbox.take():
            self._service.on_report(report)

    def _settle(self) -> None:
        """Bring the selector in line with the connections that changed, closed ones away."""
        while self._changed:
            connection = self._changed.pop()
            if connection not in self._connections:
                continue
            if connection.is_closed:
                self._connections.remove(connection)
                self._selector.unregister(connection.sock)
                connection.sock.close()
                self._service.on_closed(connection)
            else:
                wanted = selectors.EVENT_READ
                if connection.wants_write:
                    wanted |= selectors.EVENT_WRITE
                self._selector.modify(connection.sock, wanted, connection)

    def _keep_house(self) -> None:
        now_s = self._clock()
        if now_s < self._next_housekeeping_s:
            return
        self._next_housekeeping_s = now_s + _HOUSEKEEPING_S
        for each in self._connections:
            if now_s - each.opened_s > HELLO_S and self._service.is_owing(each):
                each.drop()
        self._on_housekeeping()

    def _stop_listening(self) -> None:
        if self._listener is None:
            return
        # The name goes first: whoever finds no socket starts a new worker at once.
        with contextlib.suppress(OSError):
            Path(self._listener.getsockname()).unlink(missing_ok=True)
        self._selector.unregister(self._listener)
        self._listener.close()
        self._listener = None
