"""A running ``pyrunner serve``: pulls through its API, and how much memory it takes."""

import contextlib
import http
import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distribution.programs import MeasurementError, pyrunner

_STOP_S = 30.0
_TIMEOUT_S = 600.0
_KIB = 1024
_RESET_PEAK = "5"
"""What proc_pid_clear_refs(5) calls resetting the peak of the resident set."""


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers."""

    port: int
    pid: int

    def pull(self, reference: str) -> float:
        """Seconds from the request for a pull to its last event.

        Raises:
            MeasurementError: That event is no success.
        """
        begin = time.perf_counter()
        status, text = self._post("/models/create", {"from": reference})
        elapsed_s = time.perf_counter() - begin
        last = text.splitlines()[-1] if text else ""
        if status != http.HTTPStatus.OK or json.loads(last)["type"] != "success":
            raise MeasurementError(f"The server did not pull {reference}: {status} {last}")
        return elapsed_s

    def memory_bytes(self) -> int:
        """What is resident now."""
        return self._status_bytes("VmRSS")

    def reset_peak(self) -> None:
        """Let the peak begin at what is resident now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text(_RESET_PEAK)

    def peak_bytes(self) -> int:
        """The most that was resident at once since `reset_peak`, as the kernel counts it."""
        return self._status_bytes("VmHWM")

    def _status_bytes(self, key: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        [value] = [line.split()[1] for line in lines if line.startswith(f"{key}:")]
        return int(value) * _KIB

    def _post(self, path: str, body: object) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_S)
        try:
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            connection.request("POST", path, json.dumps(body).encode(), headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


@contextlib.contextmanager
def running_server(variables: dict[str, str]) -> Iterator[Server]:
    """Serve the store of `variables` on a free port until the block ends.

    Raises:
        MeasurementError: It does not start; with what it complained about.
    """
    log = Path(variables["PYRUNNER_HOME"]) / "serve.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as complaints,
        subprocess.Popen(
            pyrunner("serve", "--port", "0"),
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process,
    ):
        try:
            yield Server(_port(process, log), process.pid)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            finally:
                process.kill()


def _port(process: "subprocess.Popen[str]", log: Path) -> int:
    greeting, _, port = (process.stdout.readline() if process.stdout else "").rpartition(":")
    if not greeting.startswith("Listening on http://"):
        raise MeasurementError(f"pyrunner serve did not start: {log.read_text()[-1000:]}")
    return int(port.strip().rstrip("/"))
