"""A running ``pyrunner serve``, and any other server that is started for one measurement."""

import contextlib
import http.client
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring.pairs import report
from measuring.programs import MeasurementError, pyrunner

TIMEOUT_S = 600.0
"""Longest silence of a server that is being measured."""

_STOP_S = 10.0
_KIB = 1024
_RESET_PEAK = "5"
"""What proc_pid_clear_refs(5) calls resetting the peak of the resident set."""


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers."""

    port: int
    pid: int

    def post(self, path: str, body: object) -> tuple[int, str]:
        """Send JSON; the status and the whole answer."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return self._ask("POST", path, json.dumps(body).encode(), headers)

    def get(self, path: str) -> tuple[int, str]:
        """The status and the whole answer."""
        return self._ask("GET", path, None, {})

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
        return kernel_bytes(Path(f"/proc/{self.pid}/status"), key)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


def kernel_bytes(path: Path, key: str) -> int:
    """One line of a file of ``/proc`` that counts in kB."""
    lines = path.read_text().splitlines()
    [value] = [line.split()[1] for line in lines if line.startswith(f"{key}:")]
    return int(value) * _KIB


@contextlib.contextmanager
def started(
    command: Sequence[str], variables: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[str]"]:
    """Run a server until the block ends, however that happens.

    Args:
        command: What to run.
        variables: Its environment.
        log: What it complains about goes there.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as complaints,
        subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,  # Ctrl-C is for us: we end it in order
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                # llama-server may wait for ever for a stream that its client has left.
                report(f"{Path(command[0]).name} did not end in {_STOP_S:g} s; it is killed.")
            finally:
                process.kill()


@contextlib.contextmanager
def running_server(variables: Mapping[str, str]) -> Iterator[Server]:
    """Serve the store of `variables` on a free port until the block ends.

    Raises:
        MeasurementError: It does not start; with what it complained about.
    """
    log = Path(variables["PYRUNNER_HOME"]) / "serve.log"
    with started(pyrunner("serve", "--port", "0"), variables, log) as process:
        yield Server(_port(process, log), process.pid)


def _port(process: "subprocess.Popen[str]", log: Path) -> int:
    greeting, _, port = (process.stdout.readline() if process.stdout else "").rpartition(":")
    if not greeting.startswith("Listening on http://"):
        raise MeasurementError(f"pyrunner serve did not start: {log.read_text()[-1000:]}")
    return int(port.strip().rstrip("/"))
