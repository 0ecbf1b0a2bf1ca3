"""A real registry on loopback, whose access log counts requests."""

import contextlib
import http.client
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measuring.programs import MeasurementError

_START_S = 20.0
_SETTLE_S = 0.2
_REQUEST = re.compile(r'"(?P<method>[A-Z]+) (?P<path>/v2/\S*) HTTP/')
_MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True, slots=True)
class Registry:
    """A running one."""

    port: int
    folder: Path

    @property
    def host(self) -> str:
        """The registry part of references."""
        return f"127.0.0.1:{self.port}"

    def layers(self, repository: str, tag: str) -> list[str]:
        """Digests of a model's layers, in the manifest's order."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            accepted = {"Accept": ", ".join(_MANIFEST_TYPES)}
            connection.request("GET", f"/v2/{repository}/manifests/{tag}", headers=accepted)
            document = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return [layer["digest"] for layer in document["layers"]]

    def blob_path(self, digest: str) -> Path:
        """The file in which the registry keeps a blob."""
        algorithm, _, hexadecimal = digest.partition(":")
        blobs = self.folder / "data" / "docker" / "registry" / "v2" / "blobs"
        return blobs / algorithm / hexadecimal[:2] / hexadecimal / "data"

    def requests(self) -> list[tuple[str, str]]:
        """Method and path of every request so far; waits until the log has caught up."""
        # A line is written after its answer, so the client may be ahead of the log.
        threading.Event().wait(_SETTLE_S)
        log = (self.folder / "log").read_text("utf-8", "replace")
        return [(found["method"], found["path"]) for found in _REQUEST.finditer(log)]


@contextlib.contextmanager
def running_registry(folder: Path) -> Iterator[Registry]:
    """Run an empty one on a free port until the block ends.

    Raises:
        MeasurementError: It does not start; with its log.
    """
    folder.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        registry = Registry(free.getsockname()[1], folder)
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\n"
        "log: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '{registry.host}', secret: benchmark}}\n"
    )
    with (folder / "log").open("wb") as log:
        command = ["docker-registry", "serve", str(config)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_until_ready(process, registry)
        yield registry
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_ready(process: "subprocess.Popen[bytes]", registry: Registry) -> None:
    give_up, tick = time.monotonic() + _START_S, threading.Event()
    while time.monotonic() < give_up and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=5)
        try:
            connection.request("GET", "/v2/")
            connection.getresponse().read()
        except OSError:
            tick.wait(0.05)
        else:
            return
        finally:
            connection.close()
    log = (registry.folder / "log").read_text("utf-8", "replace")
    raise MeasurementError(f"docker-registry did not start: {log[-1000:]}")
