"""A real registry on loopback: Debian's ``docker-registry``, with no, basic or token auth."""

import contextlib
import http.client
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyrunner.registry.auth import Credential
from support.programs import require

USER, PASSWORD = "user", "secret"
_HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
_START_S = 20.0


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry."""

    host: str
    """``127.0.0.1:PORT``: the registry part of references."""
    port: int
    process: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        """End it as a power failure would."""
        self.process.kill()
        self.process.wait(10)


class Login:
    """Credentials for every registry, or for none."""

    def __init__(self, credential: Credential | None = None) -> None:
        self._credential = credential

    def find(self, registry: str) -> Credential | None:
        assert registry
        return self._credential


ANONYMOUS = Login()
RIGHT = Login(Credential(USER, PASSWORD))
WRONG = Login(Credential(USER, "guess"))


@contextlib.contextmanager
def running_registry(folder: Path, auth: str = "", port: int = 0) -> Iterator[Registry]:
    """Run one until the block ends; skips the test where there is no such program.

    Args:
        folder: For its storage and configuration.
        auth: The ``auth`` section of its configuration, YAML.
        port: Where a former one was; 0 takes a free one.
    """
    program = require("docker-registry")
    if port == 0:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\n"
        "log: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}', secret: test}}\n{auth}"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", config], stdout=log, stderr=log)
    try:
        _wait_until_ready(process, port, folder / "log")
        yield Registry(f"127.0.0.1:{port}", port, process)
    finally:
        process.terminate()
        process.wait(10)


def basic_auth(folder: Path) -> str:
    """The ``auth`` section for passwords: `USER` with `PASSWORD`."""
    path = folder / "htpasswd"
    path.write_text(_HTPASSWD)
    return f"auth: {{htpasswd: {{realm: test, path: {path}}}}}\n"


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    give_up = time.monotonic() + _START_S
    tick = threading.Event()
    while time.monotonic() < give_up:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/v2/")
            connection.getresponse().read()
        except OSError:
            assert process.poll() is None, log.read_text()
            tick.wait(0.05)
        else:
            return
        finally:
            connection.close()
    raise AssertionError(f"docker-registry did not start: {log.read_text()}")
