"""Keeps a worker's log file from growing for ever.

The file is the process's stdout and stderr, because a dying process and native code write there;
so it can only be cut from outside the writes.
"""

import os
import stat

MAX_LOG_BYTES = 4 * 1024 * 1024
"""Above it, the older half goes."""


def bound_log(descriptor: int, max_bytes: int = MAX_LOG_BYTES) -> None:
    """Cut the file when it is too long. What is written at that very moment can be lost.

    Args:
        descriptor: Opened for reading and appending; anything but a regular file is left alone.
        max_bytes: Where to cut; half of it stays, from the start of a line.
    """
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size <= max_bytes:
        return
    tail = os.pread(descriptor, max_bytes // 2, found.st_size - max_bytes // 2)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, tail[tail.find(b"\n") + 1 :])
