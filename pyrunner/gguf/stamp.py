"""How to tell that a file is still the one that was looked at."""

import os
from pathlib import Path
from typing import NamedTuple


class FileStamp(NamedTuple):
    """Numbers of which one is another once a file was written to, or is another file."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    """Of the last change of anything about it, which nobody can set."""
    inode: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> "FileStamp":
        """Look at a file.

        Raises:
            OSError: As of `os.stat`.
        """
        status = Path(path).stat()
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
