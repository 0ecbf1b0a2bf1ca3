"""Where the runtime keeps its files, and making those places safe.

::

    <runtime folder>/            0700
        ledger.json  ledger.lock
        w1a2b3c4d.sock           one per worker, 14 characters
        logs/<12 digits of the model id>-<mode>.log

A socket address holds about a hundred bytes, so with a long runtime folder the sockets live in a
short private one instead.
"""

import hashlib
import os
import secrets
import stat
from pathlib import Path

from pyrunner.errors import StoreIOError
from pyrunner.types import ModelMode

MAX_SOCKET_NAME = 16
"""Characters of a socket's file name."""

MAX_LOG_FILES = 64
"""Logs outlive their workers, because they say why one ended; the oldest above this go."""

_MAX_SUN_PATH = 103
"""Bytes of a Unix socket address without the final NUL on the tightest platform (macOS)."""

_PRIVATE = 0o700


class RuntimeFolder:
    """The paths. `prepare` makes the folders; nothing else here touches the disk on its own."""

    def __init__(self, path: Path, short_parent: Path = Path("/tmp")) -> None:  # noqa: S108 - short by standard; checked in _make_private
        self.path = path
        longest = len(os.fsencode(path)) + 1 + MAX_SOCKET_NAME
        self.sockets = path if longest <= _MAX_SUN_PATH else _short_folder(path, short_parent)
        self.logs = path / "logs"
        self.ledger = path / "ledger.json"
        self.lock = path / "ledger.lock"

    def prepare(self) -> None:
        """Make every folder, readable by this user only.

        Raises:
            StoreIOError: Not possible, or another user owns the folder.
        """
        for folder in (self.path, self.sockets, self.logs):
            _make_private(folder)

    def new_socket(self) -> Path:
        """A socket path that no worker has."""
        return self.sockets / f"w{secrets.token_hex(4)}.sock"

    def all_sockets(self) -> list[Path]:
        """Worker sockets on disk, with an owner or without."""
        return sorted(self.sockets.glob("w????????.sock"))

    def log_path(self, model_id: str, mode: ModelMode) -> Path:
        """The log that all workers of one model share, one after the other."""
        return self.logs / f"{model_id.rpartition(':')[2][:12]}-{mode}.log"

    def log_paths(self) -> list[Path]:
        """All logs, oldest change first."""
        dated = []
        for path in self.logs.glob("*.log"):
            try:
                dated.append((path.stat().st_mtime_ns, path))
            except FileNotFoundError:  # swept by another server in between
                continue
        return [path for _, path in sorted(dated)]

    def sweep_logs(self) -> None:
        """Remove the oldest logs above `MAX_LOG_FILES`."""
        for path in self.log_paths()[:-MAX_LOG_FILES]:
            path.unlink(missing_ok=True)


def _short_folder(path: Path, parent: Path) -> Path:
    # The name depends on the long path only, so that every server of it finds the same folder.
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    return parent / f"pyrunner-{os.getuid()}-{digest}"


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        found = folder.lstat()
        # SAFETY(runtime): below /tmp somebody else may have made it first, or put a link there.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise StoreIOError(path=str(folder), problem="is not a folder of this user")
        if stat.S_IMODE(found.st_mode) != _PRIVATE:
            folder.chmod(_PRIVATE)
    except OSError as error:
        if isinstance(error, StoreIOError):
            raise
        raise StoreIOError(path=str(folder), problem=error.strerror or str(error)) from error
