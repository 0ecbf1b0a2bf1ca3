"""How many heaps the C library keeps for the threads of the server process."""

import ctypes

_M_ARENA_MAX = -8  # mallopt(3)
_N_HEAPS = 2


def share_heaps() -> None:
    """Let all threads share two of glibc's heaps. Before the first thread starts.

    Left alone, glibc gives threads heaps of their own, eight for each core, and what one has freed
    serves nobody else. The server has tens of threads that are idle most of the time: their heaps
    would grow one after the other for hours. Other C libraries have nothing to say this to.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _N_HEAPS)
