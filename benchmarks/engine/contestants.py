"""Who races: ``pyrunner serve`` and llama-server, each with its settings."""

import contextlib
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Protocol

from measuring.programs import MeasurementError
from measuring.serving import Server, kernel_bytes, running_server, started

from engine.bench import Bench
from engine.models import Model

PLAIN_ATTENTION = ("-fa", "off")
"""Flags for what ours does by itself on a CPU: faster steps, slower prompts."""
_START_S = 120.0
_POLL_S = 0.002
_LEAVE_S = 30.0
_OK = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running contestant."""

    server: Server
    model: str
    """What requests call the model."""
    is_own: bool

    @property
    def port(self) -> int:
        """Of its API, on loopback."""
        return self.server.port


class Contestant(Protocol):
    """Can be started for one turn."""

    @property
    def label(self) -> str:
        """Its settings, as the table has them."""
        ...

    def running(self, bench: Bench, model: Model) -> contextlib.AbstractContextManager[Endpoint]:
        """Start it with nothing in its caches, and stop it with all it started."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """``pyrunner serve``, which starts one worker."""

    n_lanes: int
    n_ctx: int
    """Tokens of one lane."""
    is_thread_count_its_own: bool = False
    cache_mib: int | None = None
    """Host memory for parked prefixes; None is the default, as much as the lanes take."""
    has_spare: bool = False
    """Has a process for the next model, which starts within seconds of the last; a row that is not
    about loading has no use for it."""
    more: tuple[str, ...] = ()
    """Further settings, such as ``engine.speculation=off``."""

    @property
    def _more(self) -> list[tuple[str, str]]:
        return [(name, value) for name, _, value in (each.partition("=") for each in self.more)]

    @property
    def label(self) -> str:
        """As the table has it."""
        lanes = "1 lane" if self.n_lanes == 1 else f"{self.n_lanes} lanes"
        threads = ", threads as it likes" if self.is_thread_count_its_own else ""
        cache = "" if self.cache_mib is None else f", {self.cache_mib:,} MiB of cache"
        more = "".join(f", `{each}`" for each in self.more)
        return f"{lanes} of {self.n_ctx:,} tokens{threads}{cache}{more}"

    def settings(self, bench: Bench) -> dict[str, str]:
        """In the environment of the server and its worker."""
        n_threads = 0 if self.is_thread_count_its_own else bench.plan.n_threads
        cache_bytes = -1 if self.cache_mib is None else self.cache_mib * 1024 * 1024
        return {
            "PYRUNNER_ENGINE_CACHE_BYTES": str(cache_bytes),
            "PYRUNNER_ENGINE_N_LANES": str(self.n_lanes),
            "PYRUNNER_ENGINE_N_CTX": str(self.n_ctx),
            "PYRUNNER_ENGINE_N_THREADS": str(n_threads),
            # Random weights repeat themselves, and a row would be about guessing that.
            "PYRUNNER_ENGINE_SPECULATION": "off",
            "PYRUNNER_RUNTIME_SPARE_WORKER": str(self.has_spare).lower(),
            # A race that is given up waits for nobody.
            "PYRUNNER_RUNTIME_DRAIN_S": "0",
            "PYRUNNER_RUNTIME_ORPHAN_GRACE_S": "1",
        } | {f"PYRUNNER_{name.replace('.', '_').upper()}": value for name, value in self._more}

    @contextlib.contextmanager
    def running(self, bench: Bench, model: Model) -> Iterator[Endpoint]:
        """Start the server; its worker comes with the first request."""
        # Of its own, so that two of them know nothing of each other.
        with tempfile.TemporaryDirectory(prefix="pyr-") as runtime_dir:
            places = {"PYRUNNER_RUNTIME_DIR": runtime_dir}
            with running_server(bench.variables | places | self.settings(bench)) as server:
                try:
                    yield Endpoint(server, model.reference, is_own=True)
                finally:
                    _dismiss_workers(server)


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """llama-server of the same commit."""

    flags: tuple[str, ...] = ()
    is_thread_count_its_own: bool = False

    @property
    def label(self) -> str:
        """As the table has it."""
        return f"`{' '.join(self.flags)}`" if self.flags else "defaults"

    @contextlib.contextmanager
    def running(self, bench: Bench, model: Model) -> Iterator[Endpoint]:
        """Start it and wait until it says that it is ready."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        threads = () if self.is_thread_count_its_own else ("-t", str(bench.plan.n_threads))
        command = [bench.peers.server, "-m", str(model.path), "--host", "127.0.0.1"]
        command += ["--port", str(port), *threads, *self.flags]
        log = bench.folder / "llama-server.log"
        with started(command, _without_settings(), log) as process:
            _wait_until_ready(process, port, log)
            yield Endpoint(Server(port, process.pid), model.reference, is_own=False)


def worker_pids(server: Server) -> list[int]:
    """Of the loaded models' processes."""
    status, text = server.get("/engines/ps")
    if status != _OK:
        raise MeasurementError(f"pyrunner serve does not say what is loaded: {status} {text}")
    return [line["pid"] for line in json.loads(text)]


def child_pids(server: Server) -> list[int]:
    """Of all processes that the server has started and that live."""
    found = []
    for path in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # it has just ended
            text = path.read_text()
            if f"\nPPid:\t{server.pid}\n" in text and "\nState:\tZ" not in text:
                found.append(int(path.parent.name))
    return found


def pss_bytes(pid: int) -> int:
    """Resident memory of a process, shared pages divided among those who share them."""
    return kernel_bytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


def unload(server: Server) -> None:
    """Make every worker leave; returns when their memory is back."""
    status, text = server.post("/engines/unload", {"all": True, "force": True})
    if status != _OK:
        raise MeasurementError(f"The model was not unloaded: {status} {text}")


def _dismiss_workers(server: Server) -> None:
    # A worker would wait for the next server for a while, and share the machine with it.
    with contextlib.suppress(MeasurementError, OSError):
        pids = worker_pids(server)
        unload(server)
        give_up, tick = time.monotonic() + _LEAVE_S, threading.Event()
        while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < give_up:
            tick.wait(_POLL_S)


def _without_settings() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("LLAMA_")}


def _wait_until_ready(process: Popen[str], port: int, log: Path) -> None:
    give_up, tick = time.monotonic() + _START_S, threading.Event()
    server = Server(port, process.pid)
    while time.monotonic() < give_up and process.poll() is None:
        with contextlib.suppress(OSError):
            if server.get("/health")[0] == _OK:
                return
        tick.wait(_POLL_S)
    raise MeasurementError(f"llama-server did not start: {log.read_text()[-1000:]}")


def described(own: Own, others: Iterable[str], winner: str) -> str:
    """Both sides of a row: our settings, what was tried of theirs, and what counts."""
    labels = list(others)
    theirs = winner if len(labels) == 1 else f"best of {', '.join(labels)}: {winner}"
    return f"llama-server, {theirs} (ours: {own.label})"
