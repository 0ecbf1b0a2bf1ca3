"""What this process is called in ``top`` and ``ps -o comm``."""

import contextlib
from pathlib import Path

_MAX_BYTES = 15
"""Under Linux."""


def take_name(name: str) -> None:
    """Give this process a name, where that is easy. Main thread, before others start."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_bytes(name.encode()[:_MAX_BYTES])
