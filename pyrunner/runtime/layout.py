"""How many lanes of how many tokens a model gets. Pure: no clock, no file, no process."""

from collections.abc import Callable

from pyrunner.gguf import CELL_PADDING
from pyrunner.types import LaneLayout

MIN_DEFAULT_N_CTX = 1024
"""A context that nobody chose does not become smaller, however short memory is."""


def choose_layout(
    wanted: LaneLayout, least: LaneLayout, bytes_of: Callable[[LaneLayout], int], spare_bytes: int
) -> LaneLayout:
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
        layout = LaneLayout(n_lanes, wanted.n_ctx)
        if bytes_of(layout) <= spare_bytes:
            return layout
    # llama.cpp rounds up to these, so nothing between is worth trying.
    fits, fails = least.n_ctx // CELL_PADDING, -(-wanted.n_ctx // CELL_PADDING)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if bytes_of(LaneLayout(least.n_lanes, middle * CELL_PADDING)) <= spare_bytes:
            fits = middle
        else:
            fails = middle
    return LaneLayout(least.n_lanes, max(least.n_ctx, fits * CELL_PADDING))
