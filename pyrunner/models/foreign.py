"""Models that another program keeps on this disk, in the form in which they can come in.

One module per program finds them: `docker_runner_store`, `ollama_folder`. Nothing there writes, and
all that is found is untrusted: names and digests are parsed before they make a path, files are read
up to a limit, and no path is followed out of the folder that the person named.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyrunner.errors import ModelFileError
from pyrunner.registry.digest import Digest
from pyrunner.user_files import user_file_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignModel:
    """One model and where its bytes are; or why it cannot come in."""

    names: tuple[str, ...]
    """What its program calls it: any text, to be parsed as references and cleaned to be shown."""
    manifest: bytes = b""
    """One that `artifact.check_model` has accepted."""
    files: Mapping[Digest, Path] = field(default_factory=dict)
    """Blobs that are files there, not yet compared with their digests."""
    made: Mapping[Digest, bytes] = field(default_factory=dict)
    """Blobs that exist only here."""
    dropped: tuple[str, ...] = ()
    """What does not come along."""
    problem: str = ""
    """Why it cannot be imported; empty when it can."""


def check_inside(root: Path, path: Path) -> None:
    """Refuse a path that symbolic links lead out of a folder. It need not exist.

    Raises:
        ModelFileError: It leads elsewhere.
    """
    with user_file_errors(path):
        top = os.path.realpath(root)
        is_inside = os.path.commonpath((top, os.path.realpath(path))) == top
    if not is_inside:
        problem = f"leads out of {root} through a symbolic link"
        raise ModelFileError(path=str(path), problem=problem)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a regular file for reading; a pipe of that name is refused and not waited for.

    Raises:
        ModelFileError: It cannot be opened, or is something else.
    """
    with user_file_errors(path):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ModelFileError(path=str(path), problem="is no regular file")
        yield fd
    finally:
        os.close(fd)


def read_small(root: Path, path: Path, max_bytes: int) -> bytes:
    """The content of a file inside `root`.

    Raises:
        ModelFileError: It leads out of `root`, cannot be read, or is larger than `max_bytes`.
    """
    check_inside(root, path)
    with opened(path) as fd, user_file_errors(path), os.fdopen(fd, "rb", closefd=False) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ModelFileError(path=str(path), problem=f"is larger than {max_bytes} bytes")
    return content
