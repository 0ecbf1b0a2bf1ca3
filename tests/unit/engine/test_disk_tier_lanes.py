"""Files of the disk tier that other lanes have written, or that others replace."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.scripted_lanes import CachedLanes

A = list(range(1000, 1200))
B = list(range(2000, 2200))
C = list(range(3000, 3200))

Load = Callable[..., CachedLanes]


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_longer_than_a_lane_is_left_alone_until_lanes_are_longer(load: Load) -> None:
    lanes = load()
    lanes.serve(0, [*A, *B])
    lanes.cache.save()
    again = load(n_ctx=300)
    assert again.cache.n_cached([*A, *C[:50]], "") == 0
    assert again.serve(0, [*A, *C[:50]]) == 0
    again.session.n_ctx = 600
    assert again.serve(0, [*A, *B, 1]) == len(A) + len(B)


@pytest.mark.parametrize("drops_tails", [True, False])
def test_a_state_that_fits_one_number_of_lanes_waits_for_it(
    load: Load, folder: Path, drops_tails: bool
) -> None:
    lanes = load(n_lanes=3, fits_layouts=False, drops_tails=drops_tails)
    lanes.serve(0, A)
    lanes.cache.save()
    other = load(n_lanes=2, drops_tails=drops_tails)
    assert other.cache.n_cached([*A, 1], "") == 0
    assert other.serve(0, [*A, 1]) == 0
    assert other.take_log() == []
    assert len(_names(folder)) == 1
    other.session.fits_layouts = False
    other.cache.save()  # it has read the prompt itself, and keeps that beside the other's
    assert len(_names(folder)) == 2
    for n_lanes in (2, 3):
        again = load(n_lanes=n_lanes, drops_tails=drops_tails)
        assert again.serve(0, [*A, 1, 2]) >= len(A)


def test_a_file_longer_than_a_lane_hides_no_shorter_one(load: Load) -> None:
    lanes = load(n_lanes=3)
    lanes.serve(0, [*A, *B, *C])
    lanes.serve(1, [*A, *C])
    lanes.cache.save()
    assert load(n_ctx=500).serve(0, [*A, *B, 1]) == len(A)


def test_a_file_that_another_has_replaced_is_looked_at_again(load: Load, folder: Path) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.cache.save()
    again = load()
    (path,) = folder.iterdir()
    path.unlink()
    lanes.session.cells[0][-1] = lanes.session.cells[0][-1]._replace(salt="x")  # other floats
    lanes.cache.save()
    assert again.serve(0, [*A, 1]) == 0
    assert _names(folder) == {path.name}
    assert again.cache.n_cached([*A, 2], "") == len(A)
