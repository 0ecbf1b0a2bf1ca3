"""The server as a process of its own: start, readiness, signals, what it leaves behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.api import CHAT
from support.live_server import PATIENCE_S, running, send
from support.tree import ROOT

from pyrunner import config
from pyrunner.errors import ConfigError
from pyrunner.server.sockets import open_tcp, open_unix

PROGRAM = """
import sys
from pathlib import Path
from support.api import make_api
from support.scripted_runtime import FINISH
from pyrunner.server.serve import open_server
import threading
api = make_api(Path(sys.argv[1]), server_port=0, runtime_drain_s=float(sys.argv[2]))
from pyrunner.types import TextEvent
api.runtime.script = (TextEvent(text="x"), threading.Event())
with open_server(api.settings, application=api.application) as server:
    server.run()
"""


@contextmanager
def _serving(home: Path, drain_s: float) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home), str(drain_s)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            assert found, line
            yield process, int(found[1])
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_signal_to_an_idle_server_ends_it_and_removes_the_socket(home: Path, number: int) -> None:
    with _serving(home, PATIENCE_S) as (process, _):
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 0
    assert not (home / "run" / "pyrunner.sock").exists()


def test_signal_drains_for_a_bounded_time_and_ends_streams_with_an_error(home: Path) -> None:
    with _serving(home, 0.3) as (process, port):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            answer = _start_stream(connection)
            process.send_signal(signal.SIGTERM)
            rest = answer.read()
        assert b'"code":"shutting_down"' in rest
        assert process.wait(PATIENCE_S) == 0


def test_second_signal_ends_the_drain(home: Path) -> None:
    with _serving(home, 1000.0) as (process, port):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            answer = _start_stream(connection)
            process.send_signal(signal.SIGTERM)
            _wait_until_refused(port)
            process.send_signal(signal.SIGTERM)
            assert b'"code":"shutting_down"' in answer.read()
        assert process.wait(PATIENCE_S) == 0


def _start_stream(connection: socket.socket):
    body = json.dumps(CHAT | {"stream": True})
    connection.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    answer = connection.makefile("rb")
    assert b"200" in answer.readline()
    return answer


def _wait_until_refused(port: int) -> None:
    # The drain closes the listening socket first.
    for _ in range(100_000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
    pytest.fail("the server still listens")


def test_port_in_use_is_one_clear_sentence(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = config.load({"server.port": port}, {"PYRUNNER_HOME": str(home)})
        with pytest.raises(ConfigError) as caught:
            open_tcp(settings)
    assert f"{port} on 127.0.0.1 is already in use" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_host_that_is_no_address_is_one_clear_sentence(home: Path) -> None:
    settings = config.load({"server.host": "no.such.invalid"}, {"PYRUNNER_HOME": str(home)})
    with pytest.raises(ConfigError, match=r"no\.such\.invalid' is no address"):
        open_tcp(settings)


def test_socket_of_a_dead_server_is_replaced(home: Path) -> None:
    settings = config.load({}, {"PYRUNNER_HOME": str(home)})
    open_unix(settings).close()
    assert settings.socket_path.is_socket()
    with open_unix(settings):
        assert settings.socket_path.stat().st_mode & 0o777 == 0o600


def test_socket_of_a_living_server_is_left_alone(home: Path) -> None:
    with running(home) as live:
        with pytest.raises(ConfigError, match="another server answers"):
            open_unix(live.api.settings)
        connection = live.unix()
        send(connection, "/v1/chat/completions", CHAT)
        assert connection.getresponse().status == 200
        connection.close()


def test_file_that_is_no_socket_is_left_alone(home: Path) -> None:
    settings = config.load({"server.socket": str(home / "note")}, {"PYRUNNER_HOME": str(home)})
    (home / "note").write_text("mine")
    with pytest.raises(ConfigError, match="is no socket"):
        open_unix(settings)
    assert (home / "note").read_text() == "mine"


def test_socket_path_too_long_for_an_address_is_one_clear_sentence(home: Path) -> None:
    settings = config.load({"server.socket": f"{home}/{'x' * 120}"}, {"PYRUNNER_HOME": str(home)})
    with pytest.raises(ConfigError, match="cannot listen on"):
        open_unix(settings)


def test_server_without_tcp_listens_on_the_socket_only(home: Path) -> None:
    with running(home, with_tcp=False) as live:
        assert live.listening.url is None
        connection = live.unix()
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def test_serve_listens_where_host_and_port_say(home: Path) -> None:
    host = "127.0.0.2"
    port = _free_port(host)
    with subprocess.Popen(
        [sys.executable, "-m", "pyrunner", "serve", "--host", host, "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYRUNNER_HOME": str(home)},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"Listening on http://{host}:{port}\n"
            with socket.create_connection((host, port), timeout=PATIENCE_S) as connection:
                connection.sendall(f"GET / HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
                assert connection.recv(1024).startswith(b"HTTP/1.0 200")
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
