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
from pyrunner.server.app import Application
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
def served(
    settings: config.Settings, *, with_tcp: bool = True, application: Application | None = None
) -> Iterator[tuple[Server, threading.Thread]]:
    """Serve an application, or the real one, on another thread until the block is left."""
    with open_server(settings, with_tcp=with_tcp, application=application) as server:
        thread = threading.Thread(target=server.serve, name="loop")
        thread.start()
        try:
            yield server, thread
        finally:
            server.stop()
            server.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@contextmanager
def running(home: Path, *, with_tcp: bool = True, **settings: object) -> Iterator[Live]:
    """Serve a scripted runtime."""
    api = make_api(home, **({"server_port": 0, "runtime_drain_s": 0.0} | settings))
    with served(api.settings, with_tcp=with_tcp, application=api.application) as (server, thread):
        yield Live(api, server, thread)


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
