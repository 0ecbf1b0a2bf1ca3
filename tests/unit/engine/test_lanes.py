"""The lane ledger: lowest lane first, holes closed, every lane once."""

import random

import pytest

from pyrunner.engine.lanes import LaneLedger, Move
from pyrunner.errors import InvariantError


def test_take_gives_the_lowest_free_lane() -> None:
    ledger = LaneLedger(4)
    assert [ledger.take(request) for request in (10, 11, 12)] == [0, 1, 2]
    ledger.release(1)
    assert ledger.lowest_free == 1
    assert ledger.take(13) == 1


def test_take_without_a_free_lane_is_a_bug() -> None:
    ledger = LaneLedger(1)
    ledger.take(1)
    with pytest.raises(InvariantError):
        ledger.take(2)


def test_release_of_a_free_lane_is_a_bug() -> None:
    with pytest.raises(InvariantError):
        LaneLedger(1).release(0)


def test_next_move_closes_the_lowest_hole_with_the_last_lane() -> None:
    ledger = LaneLedger(4)
    for request in (10, 11, 12, 13):
        ledger.take(request)
    ledger.release(0)
    ledger.release(2)
    move = ledger.next_move()
    assert move == Move(source=3, target=0)
    assert ledger.moved(move) == 13
    assert ledger.next_move() is None


@pytest.mark.parametrize("running", [{}, {0: 11}, {1: 10}, {0: 10, 1: 11}])
def test_lane_of_a_request_that_does_not_run_there_is_a_bug(running: dict[int, int]) -> None:
    ledger = LaneLedger(2)
    ledger.take(10)
    ledger.check({0: 10})
    with pytest.raises(InvariantError, match="have lanes"):
        ledger.check(running)


@pytest.mark.parametrize("seed", range(5))
def test_random_operations_keep_every_lane_once(seed: int) -> None:
    rng = random.Random(seed)
    ledger = LaneLedger(6)
    lane_of: dict[int, int] = {}
    for request in range(2000):
        if lane_of and (rng.random() < 0.5 or not ledger.n_free):
            ledger.release(lane_of.pop(rng.choice(list(lane_of))))
        else:
            lane_of[request] = ledger.take(request)
        while rng.random() < 0.7 and (move := ledger.next_move()):
            lane_of[ledger.moved(move)] = move.target
        ledger.check()
        ledger.check({lane: request for request, lane in lane_of.items()})
    while move := ledger.next_move():
        lane_of[ledger.moved(move)] = move.target
    assert sorted(lane_of.values()) == list(range(len(lane_of)))
