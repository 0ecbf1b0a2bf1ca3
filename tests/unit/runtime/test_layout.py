"""runtime.layout: fewer lanes, then shorter ones, and nothing that somebody chose."""

import os
import random
from collections.abc import Callable

import pytest

from pyrunner.runtime.layout import choose_layout
from pyrunner.types import LaneLayout

SEED = int(os.environ.get("PYTEST_SEED", "0"))
SEEDS = range(SEED, SEED + 500)


def _cells(layout: LaneLayout) -> int:
    """A byte per cell, padded as llama.cpp does."""
    return layout.n_lanes * -(-layout.n_ctx // 256) * 256


@pytest.mark.parametrize(
    ("spare_bytes", "expected"),
    [
        (4 * 8192, LaneLayout(4, 8192)),
        (4 * 8192 - 1, LaneLayout(3, 8192)),
        (8192, LaneLayout(1, 8192)),
        (8191, LaneLayout(1, 7936)),
        (2000, LaneLayout(1, 1792)),
        (1024, LaneLayout(1, 1024)),
        (1023, LaneLayout(1, 1024)),
        (-5, LaneLayout(1, 1024)),
    ],
)
def test_lanes_go_before_context_and_context_not_below_the_least(spare_bytes, expected):
    found = choose_layout(LaneLayout(4, 8192), LaneLayout(1, 1024), _cells, spare_bytes)
    assert found == expected


@pytest.mark.parametrize(
    ("wanted", "least", "expected"),
    [
        (LaneLayout(4, 8192), LaneLayout(4, 8192), LaneLayout(4, 8192)),
        (LaneLayout(4, 8192), LaneLayout(1, 8192), LaneLayout(1, 8192)),
        (LaneLayout(4, 8192), LaneLayout(4, 1024), LaneLayout(4, 1280)),
        (LaneLayout(4, 1000), LaneLayout(4, 1000), LaneLayout(4, 1000)),
        (LaneLayout(4, 300), LaneLayout(1, 300), LaneLayout(4, 300)),
    ],
    ids=["both", "context", "lanes", "neither a multiple", "small"],
)
def test_what_somebody_chose_stays(wanted, least, expected):
    assert choose_layout(wanted, least, _cells, 5500) == expected


def _drawn(rng: random.Random) -> tuple[LaneLayout, LaneLayout, Callable[[LaneLayout], int], int]:
    wanted = LaneLayout(rng.randint(1, 64), rng.randint(1, 40_000))
    least = LaneLayout(rng.randint(1, wanted.n_lanes), rng.randint(1, wanted.n_ctx))
    per_lane, per_cell = rng.choice([0, 100_000]), rng.choice([0, 1, 577])

    def bytes_of(layout: LaneLayout) -> int:
        return layout.n_lanes * per_lane + _cells(layout) * per_cell

    return wanted, least, bytes_of, rng.randint(-10, bytes_of(wanted) + 10)


def test_any_layout_is_inside_its_bounds_and_the_largest_that_fits():
    for each in SEEDS:
        wanted, least, bytes_of, spare = _drawn(random.Random(each))
        found = choose_layout(wanted, least, bytes_of, spare)
        about = f"seed {each}: {found} of {wanted} to {least} in {spare}"
        assert least.n_lanes <= found.n_lanes <= wanted.n_lanes, about
        assert least.n_ctx <= found.n_ctx <= wanted.n_ctx, about
        assert bytes_of(found) <= spare or found == least, about
        # Nothing that would have come first fits.
        if found.n_lanes < wanted.n_lanes:
            assert bytes_of(LaneLayout(found.n_lanes + 1, wanted.n_ctx)) > spare, about
        if found.n_ctx < wanted.n_ctx:
            assert found.n_lanes == least.n_lanes, about
            longer = LaneLayout(found.n_lanes, min(found.n_ctx + 256, wanted.n_ctx))
            assert bytes_of(longer) > spare, about


def test_more_memory_never_gives_less():
    for each in SEEDS:
        wanted, least, bytes_of, spare = _drawn(random.Random(each))
        found = choose_layout(wanted, least, bytes_of, spare)
        more = choose_layout(
            wanted, least, bytes_of, spare + random.Random(-each).randint(0, 10**6)
        )
        assert (more.n_ctx, more.n_lanes) >= (found.n_ctx, found.n_lanes), f"seed {each}"
