"""When weights move from a mapped file into large pages, and whether.

The file is mapped when a model is loaded, because that is the shortest way to a first token. Large
pages make later ones faster (``csrc/large_pages.h``), but cost a copy, and memory that the system
cannot drop. So weights move a little at a time: when nothing else is to be done, and between the
steps of answers that never end.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from pyrunner import machine_memory
from pyrunner._native import LargePages, Model
from pyrunner.config import EngineConfig

_PAGE_BYTES = 2 * 1024 * 1024
"""What csrc moves, and what the processor has to call a large page for it to be of use."""
_N_PORTIONS = 32_768
"""A model moves in about so many at most, because each is a mapping, of which a process may have
65,530. They are small because a request that comes meanwhile waits for one."""
_PAUSE = 32
"""Between steps, so many times as long as a move took passes until the next."""
_ROOM = 2
"""Times what is moved has to be there, so that as much stays for others."""


class Movable(Protocol):
    """`pyrunner._native.LargePages`."""

    @property
    def n_left_bytes(self) -> int:
        """What `move` would still move."""

    def move(self, n_bytes: int) -> bool:
        """Move so much, rounded up to large pages; False when the system refuses."""


class LargePageMover:
    """Moves the weights of models, a portion at a time. One thread.

    Args:
        weights: Of each model, in the order in which they are moved.
        room_bytes: How much memory is free.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        weights: Sequence[Movable],
        room_bytes: Callable[[], int] = machine_memory.room_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._left = [each for each in weights if each.n_left_bytes > 0]
        self._room_bytes = room_bytes
        self._clock = clock
        self._due_s = -math.inf
        n_bytes = sum(each.n_left_bytes for each in self._left)
        self._portion_bytes = max(_PAGE_BYTES, n_bytes // _N_PORTIONS)

    def move(self) -> bool:
        """Move the next portion, or give up for good where there is no room for twice what is left.

        Returns:
            Whether anything is left.
        """
        if not self._left:
            return False
        n_left_bytes = sum(each.n_left_bytes for each in self._left)
        if self._room_bytes() < _ROOM * n_left_bytes:
            self._left.clear()
        elif not self._left[0].move(self._portion_bytes) or self._left[0].n_left_bytes == 0:
            del self._left[0]
        return bool(self._left)

    def move_between_steps(self) -> None:
        """Do as `move` does, unless the last one was a moment ago."""
        began_s = self._clock()
        if self._left and began_s >= self._due_s:
            self.move()
            ended_s = self._clock()
            self._due_s = ended_s + _PAUSE * (ended_s - began_s)


def open_mover(models: Iterable[Model | None], config: EngineConfig) -> LargePageMover:
    """For those of these models that there are; it moves nothing where nobody has large pages.

    Args:
        models: Loaded; each is kept alive while it is being moved.
        config: `large_pages` is read.
    """
    is_wanted = config.large_pages and has_large_pages()
    return LargePageMover([LargePages(each) for each in models if each is not None and is_wanted])


def has_large_pages(root: Path = Path("/")) -> bool:
    """Whether memory of this process that asks for large pages gets them, and they are of 2 MiB.

    Args:
        root: Where ``proc`` and ``sys`` are (tests).
    """
    system = root / "sys/kernel/mm/transparent_hugepage"
    sizes = _said(system / f"hugepages-{_PAGE_BYTES // 1024}kB" / "enabled")  # since Linux 6.8
    is_enabled = sizes if sizes and "[inherit]" not in sizes else _said(system / "enabled")
    return (
        _said(system / "hpage_pmd_size").strip() == str(_PAGE_BYTES)
        and is_enabled != ""
        and "[never]" not in is_enabled
        and "THP_enabled:\t0" not in _said(root / "proc/self/status")  # prctl(2)
    )


def _said(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):  # not Linux, or a kernel without them
        return ""
