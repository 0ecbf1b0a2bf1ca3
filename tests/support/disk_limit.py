"""A disk that is full: no file of this process may grow above a number of bytes."""

import contextlib
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def limited_files(n_bytes: int) -> Iterator[None]:
    """Let the kernel refuse every write beyond the first `n_bytes` of a file (EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
