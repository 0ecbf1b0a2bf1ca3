"""How many lanes of how many tokens a model gets. Pure: no clock, no file, no process."""

from collections.abc import Callable
from dataclasses import dataclass

MIN_DEFAULT_N_CTX = 1024
"""A context that nobody chose does not become smaller, however short memory is."""

_STEP = 256
"""llama.cpp rounds the cells of a lane up to this, so nothing between is worth trying."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The lanes of a model."""

    n_lanes: int
    n_ctx: int
    """Tokens of each."""


def choose_layout(
    wanted: Layout, least: Layout, bytes_of: Callable[[Layout], int], spare_bytes: int
) -> Layout:
    """Choose the lanes of a model that has to fit into memory: fewer of them, then shorter ones.

    Args:
        wanted: With memory to spare. What somebody chose is the same in `least`, and stays.
        least: At most `wanted` in both numbers.
        bytes_of: Memory of a layout; more lanes or tokens never take less.
        spare_bytes: What the lanes may take.

    Returns:
        The first that fits; `least` where nothing does, and then the model is too large.
    """
    for n_lanes in range(wanted.n_lanes, least.n_lanes - 1, -1):
        layout = Layout(n_lanes, wanted.n_ctx)
        if bytes_of(layout) <= spare_bytes:
            return layout
    fits, fails = least.n_ctx // _STEP, -(-wanted.n_ctx // _STEP)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if bytes_of(Layout(least.n_lanes, middle * _STEP)) <= spare_bytes:
            fits = middle
        else:
            fails = middle
    return Layout(least.n_lanes, max(least.n_ctx, fits * _STEP))
