"""The machine that something is measured on: what it is, whether it is quiet, making it busy."""

import argparse
import contextlib
import datetime as dt
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from measuring.pairs import report

_QUIET_LOAD = 0.5
"""Above it something else runs, and the figures are not worth keeping."""


def load() -> float:
    """Of the last minute: to be asked before anything is started."""
    return round(os.getloadavg()[0], 2)


def warn_unless_quiet(load_before: float) -> None:
    """Say so where it was not that of an idle machine."""
    if load_before > _QUIET_LOAD:
        report(f"The load was {load_before} before this began: these figures are not to be kept.")


def facts() -> dict[str, object]:
    """When, and on what."""
    now = dt.datetime.now(dt.UTC)
    return {
        "measured": now.isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.release()}",
    }


def _processor() -> str:
    """Its name, and numbers that tell what hypervisors hide; or only the architecture."""
    told = {}
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        told = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    if "model name" not in told:
        return platform.machine()
    family, model = told.get("cpu family", "?"), told.get("model", "?")
    return f"{told['model name']} (family {family}, model {model})"


@contextlib.contextmanager
def busy_processes(n_processes: int) -> Iterator[None]:
    """Keep so many cores busy until the block ends."""
    with contextlib.ExitStack() as stack:
        for _ in range(n_processes):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def at_least(smallest: int) -> Callable[[str], int]:
    """A type of options: whole numbers from `smallest` on."""

    def number(text: str) -> int:
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"is less than {smallest}")
        return value

    return number
