"""The programs that are compared: finding them, and timing one run of one."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

_DEADLINE_S = 3600.0
_PACKAGES = {"ninja": "ninja-build"}
"""Debian's packages of programs whose names differ."""
_OWN_SETTINGS = ("PYRUNNER_", "MODEL_RUNNER_HOST", "DOCKER_", "XDG_RUNTIME_DIR")


class MeasurementError(Exception):
    """Nothing can be measured here, or a program failed; the text says which and why."""


def check_installed(needed: Iterable[str]) -> None:
    """Look for programs that Python packages cannot bring.

    Raises:
        MeasurementError: Some are missing; names all of them.
    """
    missing = [name for name in needed if shutil.which(name) is None]
    if missing:
        packages = [_PACKAGES.get(name, name) for name in missing]
        raise MeasurementError(
            f"Not installed: {', '.join(missing)}. Try: apt install {' '.join(packages)}"
        )


def pyrunner(*arguments: str) -> tuple[str, ...]:
    """A command of the pyrunner that is installed beside this interpreter."""
    return (str(Path(sys.executable).with_name("pyrunner")), *arguments)


def environment(home: Path, runtime_dir: Path) -> dict[str, str]:
    """Variables for a command with a store of its own, and with nobody's settings or logins.

    Args:
        home: Its ``PYRUNNER_HOME``.
        runtime_dir: For its sockets, so its path has to be short.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_OWN_SETTINGS)}
    own = {
        "PYRUNNER_HOME": str(home),
        "PYRUNNER_RUNTIME_DIR": str(runtime_dir),
        "PYRUNNER_SERVER_PORT": "0",
        "DOCKER_CONFIG": str(home / "docker"),
        "NO_PROXY": "127.0.0.1",
    }
    return kept | own


def run(command: Iterable[str], variables: Mapping[str, str] | None = None) -> str:
    """Run one command to its end and return what it printed.

    Raises:
        MeasurementError: It failed; with the end of what it complained about.
    """
    command = tuple(command)
    done = subprocess.run(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    if done.returncode != 0:
        complaint = done.stderr.strip()[-1000:]
        raise MeasurementError(f"'{' '.join(command)}' failed ({done.returncode}): {complaint}")
    return done.stdout


def timed_s(
    command: Iterable[str], variables: Mapping[str, str] | None = None, *, flush: Path | None = None
) -> float:
    """Seconds that one command takes as a whole process.

    What earlier runs left for the disk is written first, so that it is not paid for here.

    Args:
        command: The command.
        variables: Its environment; None is this process's own.
        flush: A folder that the command wrote and left to the page cache: making it durable is
            part of the time.
    """
    os.sync()
    begin = time.perf_counter()
    run(command, variables)
    if flush is not None:
        _make_durable(flush)
    return time.perf_counter() - begin


def _make_durable(folder: Path) -> None:
    """Fsync every file and folder from `folder` down; costs nothing for what is durable."""
    for below, _, names in os.walk(folder):
        for path in (Path(below), *(Path(below, name) for name in names)):
            opened = os.open(path, os.O_RDONLY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)
