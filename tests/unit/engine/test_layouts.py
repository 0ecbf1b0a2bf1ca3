"""Which lanes there should be."""

import pytest

from pyrunner.engine.lanes import Layouts
from pyrunner.types import LaneLayout

pytestmark = pytest.mark.usefixtures("short_cells")


def test_layouts_halve_the_lanes_up_to_what_the_model_was_trained_for() -> None:
    layouts = Layouts(LaneLayout(6, 160), 700)
    assert layouts.n_ctx_max == 700
    assert layouts.fitting(1) == layouts.fitting(160) == LaneLayout(6, 160)
    assert layouts.fitting(161) == layouts.fitting(320) == LaneLayout(3, 320)
    assert layouts.fitting(321) == layouts.fitting(700) == LaneLayout(1, 704)


def _layouts(n_lanes: int = 4) -> Layouts:
    return Layouts(LaneLayout(n_lanes, 160), 700)


@pytest.mark.parametrize(
    ("claims", "wanted"),
    [
        ([], (4, 160)),
        ([1, 160, 100, 9], (4, 160)),
        ([1, 1, 1, 1, 1, 700], (4, 160)),
        ([161], (2, 320)),
        ([1, 161, 1, 1], (2, 320)),
        ([1, 1, 161], (4, 160)),
        ([1, 1, 161, 1, 1], (4, 160)),
        ([321, 1, 1], (1, 640)),
        ([1, 321], (4, 160)),
    ],
)
def test_lanes_are_for_the_first_for_whom_there_is_one(
    claims: list[int], wanted: tuple[int, int]
) -> None:
    assert _layouts().wanted(LaneLayout(4, 160), claims) == wanted


@pytest.mark.parametrize(
    ("claims", "wanted"),
    [
        ([], (2, 320)),
        ([1], (2, 320)),
        ([1, 300], (2, 320)),
        ([1, 300, 1], (2, 320)),
        ([1, 1, 300], (2, 320)),
        ([1, 1, 1], (4, 160)),
        ([400, 1], (1, 640)),
    ],
)
def test_lanes_stay_as_they_are_while_that_does(claims: list[int], wanted: tuple[int, int]) -> None:
    assert _layouts().wanted(LaneLayout(2, 320), claims) == wanted


def test_a_lane_longer_than_the_model_was_trained_for_stays_as_it_was_chosen() -> None:
    layouts = Layouts(LaneLayout(4, 160), 100)
    assert layouts.n_ctx_max == 160
