"""Files that a user names: what the operating system says about them, in our words."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyrunner.errors import ModelFileError, PyrunnerError


@contextmanager
def user_file_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a file that the user named into `ModelFileError`.

    Also for a path that cannot be one (a NUL character).
    """
    try:
        yield
    except PyrunnerError:
        raise
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise ModelFileError(path=printable(path), problem=problem) from error
    except ValueError as error:
        raise ModelFileError(path=printable(path), problem=str(error)) from error


def printable(path: Path) -> str:
    """The path as text that can be sent and printed: what is no UTF-8 in it is replaced."""
    return os.fsencode(path).decode("utf-8", "replace")
