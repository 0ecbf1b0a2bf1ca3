"""Folders for the time of one command, and what killed commands left of theirs."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from pyrunner.errors import StoreIOError


def make(parent: Path, prefix: str) -> Path:
    """Make a folder in `parent` for this process, which removes it at the end.

    `parent` is made where it is missing. Folders of the same prefix whose processes are gone are
    removed here.

    Raises:
        OSError: It cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{prefix}-*-*"):
        owner = left.name.removeprefix(f"{prefix}-").partition("-")[0]
        if owner.isdecimal() and not _is_running(int(owner)):
            rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}-{os.getpid()}-", dir=parent))


@contextmanager
def folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder as `make` makes it, removed with all that is in it when the block is left.

    Raises:
        StoreIOError: It cannot be made: a full disk, no right to write.
    """
    try:
        made = make(parent, prefix)
    except OSError as error:
        problem = f"a temporary folder cannot be made: {error.strerror or error}"
        raise StoreIOError(path=str(parent), problem=problem) from error
    try:
        yield made
    finally:
        rmtree(made, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OverflowError, PermissionError):  # no number of a process; somebody else's
        return True
    return True
