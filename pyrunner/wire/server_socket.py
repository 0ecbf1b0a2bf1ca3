"""The socket file of a server that was killed: how to know it, and who takes it away.

A starting server does, or the last worker of the killed one. Both hold the lock of the runtime
folder meanwhile, so that nobody removes what another server has just bound.
"""

import fcntl
import socket
from contextlib import suppress
from pathlib import Path

_PROBE_S = 1.0


def is_answered(path: Path) -> bool:
    """Whether a server listens there; False also when there is nothing.

    Raises:
        OSError: It cannot be told.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def remove_dead(path: Path, lock: Path) -> None:
    """Remove a dead server's socket file, unless somebody has the lock.

    That is a living server, or another worker that does the same.
    """
    with suppress(OSError), lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_socket() and not is_answered(path):
            path.unlink()
