"""How to tell that a file is still the one that was looked at."""

import os
from pathlib import Path
from typing import NamedTuple


class FileStamp(NamedTuple):
    """What is another number once a file was written to, unless somebody puts it back."""

    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> "FileStamp":
        """Look at a file.

        Raises:
            OSError: As of `os.stat`.
        """
        status = Path(path).stat()
        return cls(status.st_size, status.st_mtime_ns)
