"""The server's log on disk, which `GET /logs` serves."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from pyrunner import log
from pyrunner.config import Settings
from pyrunner.errors import StoreIOError

MAX_LOG_BYTES = 10 * 1024 * 1024
"""Size at which the file is renamed and a new one begun; one old file is kept."""


def log_path(settings: Settings) -> Path:
    """Servers of one runtime folder share it, one after the other or at once."""
    return settings.runtime_dir / "server.log"


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Send every pyrunner logger to a file as well, readable by this user only.

    Raises:
        StoreIOError: The file cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        handler = RotatingFileHandler(path, maxBytes=MAX_LOG_BYTES, backupCount=1, encoding="utf-8")
    except OSError as error:
        raise StoreIOError(path=str(path), problem=error.strerror or str(error)) from error
    handler.setFormatter(log.formatter())
    root = logging.getLogger("pyrunner")
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
