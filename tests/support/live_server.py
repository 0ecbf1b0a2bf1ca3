"""The real server around a scripted application, on loopback and a Unix socket."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrunner import config
from pyrunner.server.serve import Listening, Server, open_server
from support.api import Api, make_api

PATIENCE_S = 10.0
"""Longest wait for anything; only a broken server takes so long."""


@dataclass
class Live:
    """A server that answers, and what it was made of."""

    api: Api
    server: Server
    thread: threading.Thread

    @property
    def listening(self) -> Listening:
        return self.server.listening

    @property
    def port(self) -> int:
        assert self.listening.url is not None
        return int(self.listening.url.rpartition(":")[2])

    def tcp(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def unix(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", timeout=PATIENCE_S)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(PATIENCE_S)
        connection.sock.connect(str(self.listening.socket_path))
        return connection

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)


@contextmanager
def running(home: Path, *, with_tcp: bool = True, **settings: object) -> Iterator[Live]:
    """Serve on another thread until the block is left."""
    api = make_api(home, **({"server_port": 0, "runtime_drain_s": 0.0} | settings))
    with open_server(api.settings, with_tcp=with_tcp, application=api.application) as server:
        live = Live(api, server, threading.Thread(target=server.serve, name="loop"))
        live.thread.start()
        try:
            yield live
        finally:
            server.stop()
            live.thread.join(PATIENCE_S)
            assert not live.thread.is_alive()


def send(connection: http.client.HTTPConnection, path: str, body: object) -> None:
    """Send a JSON request and read nothing."""
    data = json.dumps(body).encode()
    connection.request("POST", path, data, {"Content-Type": "application/json"})


def events(response: http.client.HTTPResponse) -> Iterator[Any]:
    """The JSON of every server-sent event, up to ``[DONE]`` or the end."""
    while line := response.readline():
        data = line.strip().removeprefix(b"data: ")
        if data == b"[DONE]":
            return
        if data:
            yield json.loads(data)


@contextmanager
def serving_for_real(home: Path) -> Iterator[str]:
    """Serve with real workers, below `home`; hands out the URL."""
    overrides = {"server.port": 0, "engine.n_threads": 1}  # one thread: repeatable answers
    settings = config.load(overrides, {"PYRUNNER_HOME": str(home)})
    with open_server(settings) as server:
        thread = threading.Thread(target=server.serve, name="loop")
        thread.start()
        try:
            assert server.listening.url is not None
            yield server.listening.url
        finally:
            server.stop()
            server.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
