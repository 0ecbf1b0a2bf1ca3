"""The two listening sockets: TCP, and a Unix socket that replaces a dead one only."""

import errno
import os
import socket
from pathlib import Path

from pyrunner.config import Settings
from pyrunner.errors import ConfigError
from pyrunner.runtime.folder import RuntimeFolder
from pyrunner.runtime.ledger import Ledger
from pyrunner.wire.server_socket import is_answered

BACKLOG = 1024
"""Connections the kernel holds while the server is busy accepting."""

_OWNER_ONLY = 0o600


def open_tcp(settings: Settings) -> socket.socket:
    """Bind the TCP address of the settings.

    Raises:
        ConfigError: The address is taken, not ours, or not an address; one sentence says which.
    """
    host, port = settings.server.host, settings.server.port
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise _config(settings, "host", f"{host!r} is no address: {error}") from error
    # 127.0.0.1 before ::1 for names that have both, because that is what clients write.
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            problem = f"{port} on {host} is already in use; stop the other server or choose another"
            raise _config(settings, "port", problem) from error
        problem = f"cannot listen on {host} port {port}: {error.strerror}"
        raise _config(settings, "host", problem) from error
    return listener


def open_unix(settings: Settings) -> socket.socket:
    """Bind the Unix socket of the settings, readable and writable by this user only.

    A socket file that nobody answers behind is a dead server's and is replaced.

    The runtime folder's lock is held meanwhile, so that of two servers one finds the other.

    Raises:
        ConfigError: A server answers there, the path is too long, or another kind of file is.
        StoreError: The runtime folder cannot be used.
    """
    folder = RuntimeFolder(settings.runtime_dir)
    folder.prepare()
    with Ledger(folder).locked():
        return _bind_unix(settings, settings.socket_path)


def _bind_unix(settings: Settings, path: Path) -> socket.socket:
    _remove_stale(settings, path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        listener.bind(str(path))
        path.chmod(_OWNER_ONLY)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        problem = f"cannot listen on {path}: {error.strerror or error}"
        raise _config(settings, "socket", problem) from error
    return listener


def remove_unix(path: Path, inode: int) -> None:
    """Remove our socket file, unless another server has put its own there since."""
    try:
        if path.stat().st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        return


def _remove_stale(settings: Settings, path: Path) -> None:
    if not os.path.lexists(path):
        return
    if not path.is_socket():
        raise _config(settings, "socket", f"{path} exists and is no socket; choose another path")
    try:
        if is_answered(path):
            problem = f"another server answers on {path}; stop it first"
            raise _config(settings, "socket", problem)
        path.unlink(missing_ok=True)
    except OSError as error:
        problem = f"{path} cannot be looked at: {error.strerror or error}"
        raise _config(settings, "socket", problem) from error


def _config(settings: Settings, key: str, problem: str) -> ConfigError:
    source = settings.sources.get(f"server.{key}", "default")
    return ConfigError(key=f"server.{key}", source=source, problem=problem)
