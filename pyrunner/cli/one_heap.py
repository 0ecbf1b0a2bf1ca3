"""The server's threads share one heap: how the C library is told.

glibc keeps what a thread has freed for that thread, and heaps for groups of threads. The server has
tens of threads that are idle most of the time, and each would in time hoard the largest mix of
blocks that it ever held at once: memory that grows for hours. glibc is told once, where a program
starts; other C libraries do not look at the variable. `benchmarks/soak` watches the outcome.
"""

import os
import sys

from pyrunner import config

_VARIABLE = "GLIBC_TUNABLES"
_ONE_HEAP = "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0"


def environment() -> dict[str, str]:
    """What a server inherits from this process. What a person has chosen stays."""
    chosen = config.environment_value(_VARIABLE)
    return config.own_environment({_VARIABLE: chosen or _ONE_HEAP})


def start_again() -> None:
    """Become the same program with one heap, unless it is so already. Before the first thread."""
    if config.environment_value(_VARIABLE) or not sys.executable:
        return
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment())  # noqa: S606 - our own interpreter and our own words
