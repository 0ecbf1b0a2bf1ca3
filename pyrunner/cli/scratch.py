"""Folders for the time of one command, and what killed commands left of theirs."""

import os
import tempfile
from pathlib import Path
from shutil import rmtree


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


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OverflowError, PermissionError):  # no number of a process; somebody else's
        return True
    return True
