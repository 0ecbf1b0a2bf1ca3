"""Disks that are full: a real small one, and a limit above which no file of this process grows."""

import contextlib
import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

_MIB = 1024 * 1024
_MOUNT = 'mount -t tmpfs -o size="$2" none "$1" && echo mounted && read -r _'


@contextlib.contextmanager
def limited_files(n_bytes: int) -> Iterator[None]:
    """Let the kernel refuse every write beyond the first `n_bytes` of a file.

    To the byte, so that every write can be the one; but the error is EFBIG, which is no full disk.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of its own, in memory; whoever fills it gets ENOSPC.

    Only a child process sees the mount, and it ends with the child, whatever becomes of us; we
    reach it through ``/proc``. Skips the test that is running where nothing may be mounted.
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("needs Linux: mounts of a process of its own")
    command = ("unshare", "-m" if os.geteuid() == 0 else "-Urm", "sh", "-c", _MOUNT, "sh")
    with subprocess.Popen(
        (*command, str(folder), str(size_bytes)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        if child.stdout.readline() != "mounted\n":
            pytest.skip(f"needs the right to mount: {child.stderr.read().strip()}")
        yield Path(f"/proc/{child.pid}/root{folder}")  # leaving closes its standard input


def fill(disk: Path, *, but_bytes: int = 0) -> Path:
    """Fill a disk up to so many bytes; the file to remove when there shall be room again."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while (n_bytes := shutil.disk_usage(disk).free - but_bytes) > 0:
            file.write(b"\1" * min(n_bytes, _MIB))
    return filler


def refuse(*_arguments: object) -> NoReturn:
    """Stand in for a call of the system that the disk has no room for."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def n_open_files() -> int:
    """Descriptors of this process, the one that lists them included."""
    return len(list(Path("/proc/self/fd").iterdir()))
