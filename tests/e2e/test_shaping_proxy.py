"""The far-away registry of the benchmarks is as far away and as slow as it says.

Only lower bounds are looked at: a busy machine makes everything slower, never faster.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from distribution.shaping_proxy import Shape, shaped

PATIENCE_S = 30.0
LATENCY_S = 0.05
BLOB = bytes(range(256)) * 4096
"""1 MiB."""


@contextmanager
def _upstream() -> Iterator[int]:
    """Answers one byte with `BLOB`, on one connection after the other, until told to stop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_all, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_S)


def _answer_all(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):  # the proxy may be gone by now
            if connection.recv(1):
                connection.sendall(BLOB)


def _ask(port: int) -> tuple[float, float, bytes]:
    """Seconds to the first byte and to the last one, and all of them."""
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(b"?")
        answer = connection.recv(1)
        first_s = time.monotonic() - begin
        answer += _rest(connection)
    return first_s, time.monotonic() - begin, answer


def test_connecting_and_asking_take_a_round_trip_each():
    with _upstream() as upstream, shaped(upstream, Shape(LATENCY_S, 1e9)) as port:
        first_s, _, answer = _ask(port)
    assert first_s >= 4 * LATENCY_S
    assert answer == BLOB


def test_connection_carries_no_more_than_its_rate():
    with _upstream() as upstream, shaped(upstream, Shape(0.0, 4e6)) as port:
        _, last_s, answer = _ask(port)
    assert last_s >= 0.9 * len(BLOB) / 4e6
    assert answer == BLOB


def test_closing_ends_connections_in_the_middle_of_an_answer():
    with _upstream() as upstream, socket.socket() as left:
        left.settimeout(PATIENCE_S)
        with shaped(upstream, Shape(0.0, 1e5)) as port:
            left.connect(("127.0.0.1", port))
            left.sendall(b"?")
            answer = left.recv(1)
        answer += _rest(left)
    assert 1 <= len(answer) < len(BLOB)


def _rest(connection: socket.socket) -> bytes:
    """What still comes; a reset ends it as well as an orderly end does."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            received += more
    return received
