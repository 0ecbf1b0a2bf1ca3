"""What a test may not leave behind: threads, open files, child processes."""

import gc
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 3.0
"""How long something that is already ending may take to end."""

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What this process holds right now."""

    threads: frozenset[threading.Thread]
    files: frozenset[str]
    """``number -> what it is``, so that a number that was used again counts as new."""
    children: frozenset[int]


def snapshot() -> Snapshot:
    """Look; costs about 0.1 ms."""
    return Snapshot(
        threads=frozenset(threading.enumerate()), files=_open_files(), children=_children()
    )


def leaked_since(before: Snapshot, patience_s: float = PATIENCE_S) -> list[str]:
    """Say what is here now and was not `before`, after giving it time to end."""
    if not _new(before):
        return []
    gc.collect()  # an object without an owner closes its file here, and warns about it
    give_up = time.monotonic() + patience_s
    tick = threading.Event()
    while (found := _new(before)) and time.monotonic() < give_up:
        tick.wait(_POLL_S)
    return found


def _new(before: Snapshot) -> list[str]:
    now = snapshot()
    return [
        *(f"thread {each.name!r}" for each in now.threads - before.threads if each.is_alive()),
        *(f"open file {each}" for each in sorted(now.files - before.files)),
        *(f"child process {each}" for each in sorted(now.children - before.children)),
    ]


def _open_files() -> frozenset[str]:
    found = set()
    folder = Path("/proc/self/fd")
    for entry in os.listdir(folder) if folder.is_dir() else ():  # noqa: PTH208  # names are numbers
        try:
            found.add(f"{entry} -> {(folder / entry).readlink()}")
        except FileNotFoundError:
            continue  # the one that listed the folder
    return frozenset(found)


def _children() -> frozenset[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(int(each) for each in task.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # that thread has just ended
    return frozenset(found)
