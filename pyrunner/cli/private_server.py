"""A server for the time of one command: started, waited for, stopped, nothing left behind.

Its life hangs on the pipe of its standard input: when this process goes, however it goes, the pipe
closes and the server stops. It listens on a Unix socket that only this user can reach.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyrunner import config
from pyrunner.cli import one_heap, scratch
from pyrunner.cli.address import Address
from pyrunner.cli.client import Client
from pyrunner.errors import ServerAnswerError, ServerUnreachableError, StoreIOError

START_TIMEOUT_S = 30.0
"""Longest wait until the server answers."""
STOP_MARGIN_S = 5.0
"""How much longer than `RuntimeConfig.drain_s` it may take to stop."""
ORPHAN_GRACE_S = 1
"""How long a worker may outlive it when there was no time to unload."""
_PAUSE_S = 0.02
_MAX_SOCKET_PATH_BYTES = 100
_FAILED_LOG = "failed-start.log"


@contextmanager
def running(settings: config.Settings, model: str) -> Iterator[Client]:
    """Run a server and hand out its client; it has stopped when the block is left.

    Args:
        settings: Those of the command; the server reads the same sources.
        model: What the command uses; unloaded at the end.

    Raises:
        ServerAnswerError: It did not start; names the file that says why.
        StoreIOError: There is no place for its socket.
    """
    folder = _folder(settings)
    try:
        with (folder / "log").open("wb") as log:
            process = _start(folder / "sock", log.fileno())
        try:
            client = _wait(process, folder, settings.runtime_dir / _FAILED_LOG)
            try:
                yield client
            finally:
                _unload(client, model)
        finally:
            _stop(process, settings.runtime.drain_s)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder(settings: config.Settings) -> Path:
    try:
        settings.runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = scratch.make(settings.runtime_dir, "own")
    except OSError as error:
        problem = f"{error.strerror}; PYRUNNER_HOME names another place"
        raise StoreIOError(path=str(settings.runtime_dir), problem=problem) from error
    if len(os.fsencode(folder / "sock")) <= _MAX_SOCKET_PATH_BYTES:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="pyrunner-"))


def _start(socket: Path, log: int) -> "subprocess.Popen[bytes]":
    # Its own session: Ctrl-C on this terminal is for the answer, not for the server.
    # -P: a folder named pyrunner where the person happens to stand is not the program.
    command = (sys.executable, "-P", "-m", "pyrunner", "serve", "--no-tcp", "--until-eof")
    chosen = ("--socket", str(socket), "--set", f"runtime.orphan_grace_s={ORPHAN_GRACE_S}")
    return subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
        (*command, *chosen),
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
        env=one_heap.environment(),
    )


def _wait(process: "subprocess.Popen[bytes]", folder: Path, failed_log: Path) -> Client:
    client = Client(Address(socket_path=str(folder / "sock")))
    deadline = time.monotonic() + START_TIMEOUT_S
    while not client.is_answering():
        try:
            process.wait(_PAUSE_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
        _keep(folder / "log", failed_log)
        raise ServerAnswerError(
            status=0,
            message=f"The server for this command did not start; {failed_log} says why.",
        )
    return client


def _keep(log: Path, kept: Path) -> None:
    try:
        shutil.copyfile(log, kept)
    except OSError as error:
        raise StoreIOError(path=str(kept), problem=error.strerror or str(error)) from error


def _unload(client: Client, model: str) -> None:
    with suppress(ServerAnswerError, ServerUnreachableError):
        client.call("POST", "/engines/unload", {"models": [model]})


def _stop(process: "subprocess.Popen[bytes]", drain_s: float) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(drain_s + STOP_MARGIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
