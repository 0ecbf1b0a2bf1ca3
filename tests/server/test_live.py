"""The application behind the real waitress: what Falcon's test client cannot show."""

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest
from support.api import CHAT
from support.live_server import PATIENCE_S, Live, events, running, send
from support.scripted_runtime import FINISH, HELLO
from support.waits import until

from pyrunner.errors import RequestCancelledError, WorkerCrashedError
from pyrunner.server.http import MAX_HEADER_BYTES
from pyrunner.server.logfile import log_path
from pyrunner.types import TextEvent

NOTICED_S = 0.15
"""How soon a vanished client has to be noticed."""

STREAM = CHAT | {"stream": True}


@pytest.fixture
def live(home: Path) -> Iterator[Live]:
    with running(home) as server:
        yield server


def test_stream_over_tcp_arrives_event_by_event(live: Live) -> None:
    gate = threading.Event()
    live.api.runtime.script = (TextEvent(text="first"), gate, TextEvent(text="second"), FINISH)
    connection = live.tcp()
    send(connection, "/v1/chat/completions", STREAM)
    stream = events(connection.getresponse())
    assert next(stream)["choices"][0]["delta"]["role"] == "assistant"
    assert next(stream)["choices"][0]["delta"] == {"content": "first"}
    gate.set()
    assert next(stream)["choices"][0]["delta"] == {"content": "second"}
    assert next(stream)["choices"][0]["finish_reason"] == "stop"
    connection.close()


def test_stream_over_the_unix_socket_is_the_same(live: Live) -> None:
    connection = live.unix()
    send(connection, "/engines/v1/chat/completions", STREAM)
    response = connection.getresponse()
    assert response.status == 200
    assert len(list(events(response))) == 4
    connection.close()


ASKED = {"json": "/v1/chat/completions", "text": "/models/create"}
REFUSED = {
    "headers": ("X: " + "x" * MAX_HEADER_BYTES, 431, "headers_too_large"),
    "body": ("Content-Length: 99999999", 413, "body_too_large"),
    "garbage": ("Content-Length: many", 400, "bad_request"),
}


@pytest.mark.parametrize("kind", ASKED)
@pytest.mark.parametrize("what", REFUSED)
def test_what_waitress_refuses_has_our_form(live: Live, kind: str, what: str) -> None:
    header, status, code = REFUSED[what]
    with live.raw() as connection:
        connection.sendall(f"POST {ASKED[kind]} HTTP/1.1\r\n{header}\r\n\r\n".encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = response.read().decode()
    assert (response.status, response.headers["X-Error-Code"]) == (status, code)
    assert body.startswith('{"error":{"message":"') is (kind == "json")
    assert body.count("\n") == 1


def test_host_is_checked_on_tcp_and_not_on_the_unix_socket(live: Live) -> None:
    for connection, expected in ((live.tcp(), 403), (live.unix(), 200)):
        connection.request("GET", "/models", headers={"Host": "evil.example"})
        assert connection.getresponse().status == expected
        connection.close()


def test_client_gone_before_the_first_event_frees_the_stream_at_once(live: Live) -> None:
    live.api.runtime.script = (threading.Event(),)
    _assert_freed_when_client_goes(live, STREAM)


def test_client_gone_in_mid_stream_frees_the_stream_at_once(live: Live) -> None:
    live.api.runtime.script = (TextEvent(text="x"), threading.Event())
    _assert_freed_when_client_goes(live, STREAM, n_lines=2)


def test_client_gone_from_an_answer_not_streamed_frees_the_stream_at_once(live: Live) -> None:
    live.api.runtime.script = (TextEvent(text="x"), threading.Event())
    _assert_freed_when_client_goes(live, CHAT)


def _assert_freed_when_client_goes(live: Live, body: object, n_lines: int = 0) -> None:
    connection = live.tcp()
    send(connection, "/v1/chat/completions", body)
    assert live.api.runtime.started.acquire(timeout=PATIENCE_S)
    if n_lines:
        response = connection.getresponse()
        for _ in range(n_lines):
            response.readline()
        response.close()
    connection.close()
    gone = monotonic()
    assert live.api.runtime.streams[0].closed.wait(PATIENCE_S)
    assert monotonic() - gone < NOTICED_S


def test_client_gone_while_a_model_loads_gives_up_waiting(live: Live) -> None:
    waiting, given_up = threading.Event(), threading.Event()

    def load(is_cancelled):
        waiting.set()
        while not is_cancelled():
            given_up.wait(0.01)
        given_up.set()

    live.api.runtime.on_load = load
    connection = live.tcp()
    send(connection, "/v1/chat/completions", CHAT)
    assert waiting.wait(PATIENCE_S)
    connection.close()
    assert given_up.wait(PATIENCE_S)


def test_drain_over_while_a_model_loads_is_503_that_says_so(home: Path) -> None:
    waiting, pause = threading.Event(), threading.Event()

    def load(is_cancelled):
        waiting.set()
        while not is_cancelled():
            pause.wait(0.01)
        raise RequestCancelledError(during="loading")

    with running(home, runtime_drain_s=0.05) as live:
        live.api.runtime.on_load = load
        connection = live.tcp()
        send(connection, "/v1/chat/completions", CHAT)
        assert waiting.wait(PATIENCE_S)
        live.server.stop()
        response = connection.getresponse()
        assert response.status == 503
        assert json.load(response)["error"]["code"] == "shutting_down"
        connection.close()


def test_client_gone_while_embedding_cancels_it(live: Live) -> None:
    live.api.runtime.embeds.clear()
    connection = live.tcp()
    send(connection, "/v1/embeddings", {"model": "ai/tiny", "input": "x"})
    assert live.api.runtime.started.acquire(timeout=PATIENCE_S)
    connection.close()
    assert live.api.runtime.embed_cancelled.wait(PATIENCE_S)


def test_sixty_four_health_checks_answer_while_every_stream_is_taken(home: Path) -> None:
    gate = threading.Event()
    with running(home, server_n_streams=4) as live:
        live.api.runtime.script = (TextEvent(text="x"), gate, FINISH)
        streams = [live.tcp() for _ in range(4)]
        for connection in streams:
            send(connection, "/v1/chat/completions", STREAM)
            assert live.api.runtime.started.acquire(timeout=PATIENCE_S)
        with ThreadPoolExecutor(64) as pool:
            statuses = list(pool.map(lambda _: _status(live, "/healthz"), range(64)))
        assert statuses == [200] * 64
        assert _status(live, "/engines/ps") == 200
        gate.set()
        for connection in streams:
            assert len(list(events(connection.getresponse()))) == 3
            connection.close()


def _status(live: Live, path: str) -> int:
    connection = live.tcp()
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def test_one_stream_too_many_is_503_with_retry_after(home: Path) -> None:
    gate = threading.Event()
    with running(home, server_n_streams=1) as live:
        live.api.runtime.script = (gate, FINISH)
        first, second = live.tcp(), live.tcp()
        send(first, "/v1/chat/completions", STREAM)
        assert live.api.runtime.started.acquire(timeout=PATIENCE_S)
        send(second, "/v1/chat/completions", STREAM)
        refused = second.getresponse()
        assert refused.status == 503
        assert refused.getheader("Retry-After") == "1"
        assert json.load(refused)["error"]["code"] == "queue_full"
        gate.set()
        assert first.getresponse().status == 200
        first.close()
        second.close()


def test_error_in_mid_stream_is_an_event_and_the_end(live: Live) -> None:
    crashed = WorkerCrashedError(reference="ai/tiny", how="signal 9")
    live.api.runtime.script = (TextEvent(text="x"), crashed)
    connection = live.tcp()
    send(connection, "/v1/chat/completions", STREAM)
    response = connection.getresponse()
    *_, last = events(response)
    assert last["error"]["code"] == "worker_crashed"
    assert response.read() == b""
    connection.close()


def test_bug_in_mid_stream_is_an_event_without_details(live: Live) -> None:
    live.api.runtime.script = (TextEvent(text="x"), ValueError("secret"))
    connection = live.tcp()
    send(connection, "/v1/chat/completions", STREAM)
    *_, last = events(connection.getresponse())
    assert last["error"]["code"] == "internal"
    assert "secret" not in json.dumps(last)
    connection.close()


def test_slow_reader_does_not_stop_other_clients(live: Live) -> None:
    live.api.runtime.script = (*[TextEvent(text="x" * 60_000)] * 200, FINISH)
    slow = live.raw()
    body = json.dumps(STREAM).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
    slow.sendall(head.encode() + b"\r\n\r\n" + body)
    assert live.api.runtime.started.acquire(timeout=PATIENCE_S)
    live.api.runtime.script = HELLO
    connection = live.tcp()
    send(connection, "/v1/chat/completions", STREAM)
    assert len(list(events(connection.getresponse()))) == 4
    connection.close()
    slow.close()
    assert live.api.runtime.streams[0].closed.wait(PATIENCE_S)


def test_client_that_reads_nothing_at_all_is_closed_in_the_end(live: Live) -> None:
    live.server._http.max_stall_s = 0.5
    live.api.runtime.script = (*[TextEvent(text="x" * 60_000)] * 200, FINISH)
    body = json.dumps(STREAM).encode()
    with live.raw() as silent:
        silent.sendall(CHAT_HEAD + b"%d\r\n\r\n" % len(body) + body)
        assert live.api.runtime.started.acquire(timeout=PATIENCE_S)
        assert live.api.runtime.streams[0].closed.wait(PATIENCE_S)
    until(lambda: live.api.application.dependencies.admission.n_active == 0)


def test_client_that_waits_for_a_slow_answer_is_not_closed(live: Live) -> None:
    live.server._http.max_stall_s = 0.0
    gate = threading.Event()
    live.api.runtime.script = (TextEvent(text="x"), gate, FINISH)
    connection = live.tcp()
    send(connection, "/v1/chat/completions", STREAM)
    stream = events(connection.getresponse())
    next(stream)
    looked_s = live.server._http._next_look_s
    until(lambda: live.server._http._next_look_s > looked_s + 1.0)
    gate.set()
    *_, last = stream
    assert last["choices"][0]["finish_reason"] == "stop"
    connection.close()


CHAT_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
GET_HEAD = b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "head",
    [
        CHAT_HEAD + b"nonsense\r\n\r\n",
        CHAT_HEAD + b"99999999999\r\n\r\n",
        GET_HEAD + b"Host: localhost\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        GET_HEAD + b"Host: evil.example\r\nHost: localhost\r\n\r\n",
        GET_HEAD + b"\r\n",
    ],
    ids=["length", "huge", "header", "tls", "two-hosts", "no-host"],
)
def test_garbage_is_refused_and_the_server_lives_on(live: Live, head: bytes) -> None:
    with live.raw() as garbage:
        garbage.sendall(head)
        status = int(garbage.makefile("rb").readline().split()[1])
    assert 400 <= status < 500
    assert _status(live, "/healthz") == 200


def test_body_over_the_limit_is_400_that_says_so(home: Path) -> None:
    with running(home, server_max_body_bytes=1024) as live:
        connection = live.tcp()
        send(connection, "/v1/chat/completions", CHAT | {"user": "x" * 1200})
        response = connection.getresponse()
        assert response.status == 400
        assert "limit is 1024 bytes" in json.load(response)["error"]["message"]
        connection.close()


def test_drain_lets_a_running_stream_finish_and_refuses_new_ones(home: Path) -> None:
    gate = threading.Event()
    with running(home, runtime_drain_s=PATIENCE_S) as live:
        live.api.runtime.script = (TextEvent(text="x"), gate, FINISH)
        kept, other = live.tcp(), live.tcp()
        other.request("GET", "/healthz")
        other.getresponse().read()
        send(kept, "/v1/chat/completions", STREAM)
        stream = events(kept.getresponse())
        next(stream)
        live.server.stop()
        assert _wait_for_refusal(other)
        gate.set()
        *_, last = stream
        assert last["choices"][0]["finish_reason"] == "stop"
        kept.close()
        other.close()
        live.thread.join(PATIENCE_S)
        assert not live.thread.is_alive()
    assert live.api.runtime.closed.is_set()


def _wait_for_refusal(connection) -> bool:
    # The loop takes up to one turn to begin the drain; a kept connection then gets 503.
    for _ in range(1000):
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        response.read()
        if response.status == 503:
            return True
    return False


def test_drain_that_takes_too_long_ends_streams_with_an_error(home: Path) -> None:
    with running(home, runtime_drain_s=0.05) as live:
        live.api.runtime.script = (TextEvent(text="x"), threading.Event())
        connection = live.tcp()
        send(connection, "/v1/chat/completions", STREAM)
        stream = events(connection.getresponse())
        next(stream)
        live.server.stop()
        *_, last = stream
        assert last["error"]["code"] == "shutting_down"
        connection.close()


def test_followed_log_ends_when_the_client_goes(live: Live) -> None:
    path = log_path(live.api.settings)
    path.write_text("2026-01-01T00:00:00.000Z INFO old\n")
    connection = live.tcp()
    connection.request("GET", "/logs?follow=true")
    response = connection.getresponse()
    assert b"old" in response.readline()
    with path.open("a") as log:
        log.write("2026-01-01T00:00:01.000Z INFO new\n")
    assert b"new" in response.readline()
    admission = live.api.application.dependencies.admission
    assert admission.transfers.n_active == 1
    response.close()
    connection.close()
    until(lambda: admission.transfers.n_active == 0)
