"""The server under load and its workers, asked from outside."""

import contextlib
import datetime as dt
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import programs
from measuring.programs import MeasurementError
from measuring.serving import Server, running_server

from soak import requests
from soak.client import Outcome, perform
from soak.requests import MODEL, OTHER

REST_S = 20.0
"""How long lanes may take to be free after the last request; the loop's own check is part of it."""

_AT_REST = "at rest: every lane is free, and everything adds up"
"""What a worker's log says after `EngineLoop.check`."""
_POLL_S = 0.05
_OK = 200
_SETTINGS = {
    "PYRUNNER_LOG_LEVEL": "debug",
    "PYRUNNER_ENGINE_N_LANES": "4",
    "PYRUNNER_ENGINE_N_CTX": "2048",
    # Small, so that it is full soon and prefixes are reclaimed all the time.
    "PYRUNNER_ENGINE_CACHE_BYTES": str(24 * 1024 * 1024),
    "PYRUNNER_RUNTIME_DRAIN_S": "1",
    "PYRUNNER_RUNTIME_ORPHAN_GRACE_S": "1",
}


@dataclass(frozen=True, slots=True)
class Site:
    """A running server with both models in its store."""

    server: Server
    logs: Path

    def loaded(self) -> list[dict[str, Any]]:
        """The lines of ``ps``."""
        status, text = self.server.get("/engines/ps")
        if status != _OK:
            raise MeasurementError(f"ps says {status}: {text}")
        lines: list[dict[str, Any]] = json.loads(text)
        return lines

    def workers(self) -> dict[str, int]:
        """Process ids of the workers that stay, by mode."""
        return {
            line["mode"]: line["pid"]
            for line in self.loaded()
            if line["model_name"].endswith(f"{MODEL}:latest")
        }

    def unload(self, *, only_the_other: bool) -> None:
        """Send workers away, whatever they do."""
        what = {"models": [OTHER]} if only_the_other else {"all": True}
        status, text = self.server.post("/engines/unload", what | {"force": True})
        if status != _OK:
            raise MeasurementError(f"unload says {status}: {text}")

    def come_to_rest(self) -> list[str]:
        """Wait until no request is in flight and every worker has found that all adds up.

        Each gets one small request first, so that it looks again.

        Returns:
            What did not come to rest within `REST_S`.
        """
        begin = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]  # as in logs
        results = [perform(self.server.port, each, None) for each in requests.nudges()]
        failed = [each.detail for each in results if each.outcome is not Outcome.ANSWERED]
        deadline = time.monotonic() + REST_S
        found = failed
        if not _until(lambda: not any(line["n_in_flight"] for line in self.loaded()), deadline):
            found.append(f"requests are in flight after {REST_S:g} s: {self.loaded()}")
        for mode in self.workers():
            if not _until(lambda: self._was_at_rest(mode, begin), deadline):  # noqa: B023  # called here
                found.append(f"the worker for {mode} did not find its lanes free: see its log")
        return found

    def log_tails(self) -> str:
        """The last lines of every worker, for a report of trouble."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}"
            for path in sorted(self.logs.glob("*.log"))
        )

    def _was_at_rest(self, mode: str, since: str) -> bool:
        """Whether the newest thing that a worker logged of its rest is from `since` on."""
        for path in self.logs.glob(f"*-{mode}.log"):
            lines = [line for line in path.read_text().splitlines() if _AT_REST in line]
            if lines and lines[-1][: len(since)] >= since:
                return True
        return False


@contextlib.contextmanager
def running() -> Iterator[Site]:
    """Serve the model that ships with the package, twice, from an empty store."""
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        tempfile.TemporaryDirectory(prefix="pyr-") as runtime_dir,
    ):
        home = Path(folder)
        variables = programs.environment(home, Path(runtime_dir)) | _SETTINGS
        programs.run(programs.pyrunner("pull", "--quiet", MODEL), variables)
        weights = max((home / "store" / "blobs" / "sha256").iterdir(), key=_size)
        other = home / "other.gguf"
        shutil.copy(weights, other)
        with other.open("ab") as file:
            file.write(b"\0")  # behind the last tensor: another model with the same weights
        programs.run(
            programs.pyrunner("package", "--quiet", "--gguf", str(other), OTHER), variables
        )
        with running_server(variables) as server:
            yield Site(server, Path(runtime_dir) / "logs")


def _size(path: Path) -> int:
    return path.stat().st_size


def _until(is_so: Callable[[], bool], deadline: float) -> bool:
    tick = threading.Event()
    while not is_so():
        if time.monotonic() > deadline:
            return False
        tick.wait(_POLL_S)
    return True
