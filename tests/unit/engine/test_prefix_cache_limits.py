"""The prefix cache over memory that is limited in what it can do, and its own check."""

from collections.abc import Callable
from typing import Any

import pytest
from support.scripted_lanes import CachedLanes, SavedLane, ScriptedLanes

from pyrunner.engine.parked import ParkedStates
from pyrunner.engine.prefix_cache import MIN_COPIED
from pyrunner.engine.prefix_index import PrefixIndex
from pyrunner.engine.snapshots import BLOCK
from pyrunner.errors import InvariantError

A = list(range(1000, 1200))
B = list(range(2000, 2200))
C = list(range(3000, 3200))


# --- Memory that cannot drop tails ---


def test_where_no_tail_can_be_dropped_only_whole_beginnings_count() -> None:
    lanes = CachedLanes(n_lanes=1, drops_tails=False)
    lanes.serve(0, A)
    assert lanes.cache.n_cached([*A[:150], *B], "") == 0
    assert lanes.cache.n_cached(A, "") == 0  # its last token would have to be read again
    assert lanes.serve(0, A) == 0
    assert lanes.serve(0, A + B) == len(A)
    assert lanes.serve(0, [*A, *B, 1]) == len(A + B)
    assert lanes.serve(0, [*A, 7]) == len(A)  # parked when it had to give way to A itself


def test_where_no_tail_can_be_dropped_whole_states_are_parked_and_copied() -> None:
    lanes = CachedLanes(drops_tails=False)
    lanes.serve(0, A)
    lanes.start(1, B)
    assert lanes.serve(0, [*B, 1]) == len(B)
    assert lanes.serve(0, [*A, 1]) == len(A)
    assert lanes.session.tokens(1) == B


def test_where_no_tail_can_be_dropped_the_longest_whole_beginning_is_taken() -> None:
    lanes = CachedLanes(n_lanes=4, drops_tails=False)
    for lane, prompt in enumerate((A[:50], A, A[:120], [*A, 5])):
        lanes.start(lane, prompt)
        lanes.end(lane)
    assert lanes.cache.n_cached([*A, 1], "") == len(A)


def test_where_no_tail_can_be_dropped_the_lane_itself_comes_before_a_copy() -> None:
    lanes = CachedLanes(drops_tails=False)
    lanes.start(0, A)
    lanes.serve(1, A)  # read once more, because nothing can be dropped
    assert lanes.take_log() == []
    assert lanes.start(1, [*A, 1]) == len(A)
    assert lanes.take_log() == []


def test_where_no_tail_can_be_dropped_a_short_beginning_is_not_copied() -> None:
    lanes = CachedLanes(drops_tails=False)
    lanes.serve(0, A[: MIN_COPIED - 1])
    assert lanes.cache.n_cached(A, "") == 0
    assert lanes.serve(1, A) == 0
    assert lanes.take_log() == []
    assert lanes.serve(0, A[: MIN_COPIED - 1] + B) == MIN_COPIED - 1


def test_where_no_tail_can_be_dropped_salts_share_nothing() -> None:
    lanes = CachedLanes(drops_tails=False)
    lanes.serve(0, A, "one")
    assert lanes.serve(1, [*A, 1], "two") == 0
    assert lanes.serve(0, [*A, 1], "two") == 0


@pytest.mark.parametrize("lane", [0, 1], ids=["its own lane", "a copy"])
def test_memory_that_refuses_to_drop_a_tail_is_asked_once_and_read_afresh(lane: int) -> None:
    lanes = CachedLanes(can_drop_tails=False)
    n_block = lanes.cache.n_block
    lanes.serve(0, A)
    assert lanes.serve(lane, A[:150] + B) == 0
    assert (n_block, lanes.cache.n_block) == (1, BLOCK)
    assert lanes.cache.n_cached(A[:150] + C, "") == 0
    assert lanes.serve(lane, A[:150] + B + C) == len(A[:150] + B)
    assert lanes.serve(0, [*A, 1]) == len(A)


# --- Snapshots, where no tail can be dropped ---


def _serve_in_chunks(lanes: CachedLanes, lane: int, prompt: list[int], salt: str = "") -> int:
    """As the loop does: no chunk goes over a multiple of `BLOCK`."""
    n_cached = n_read = lanes.cache.start(lane, prompt, salt)
    lanes.session.open_lanes.add(lane)
    while n_read < len(prompt):
        end = min(len(prompt), n_read + 100, (n_read // BLOCK + 1) * BLOCK)
        lanes.go_on(lane, prompt[n_read:end], salt)
        lanes.cache.note_read(lane, len(prompt))
        n_read = end
    lanes.end(lane)
    lanes.cache.check()
    return n_cached


LONG = list(range(10_000, 10_000 + 3 * BLOCK + 50))


@pytest.mark.parametrize("lane", [0, 1])
@pytest.mark.parametrize(
    ("n_shared", "n_cached"),
    [
        (BLOCK - 1, 0),
        (BLOCK, BLOCK),
        (2 * BLOCK - 1, BLOCK),
        (len(LONG), 3 * BLOCK),
    ],
)
def test_a_prompt_starts_from_the_last_snapshot_of_what_it_shares(
    lane: int, n_shared: int, n_cached: int
) -> None:
    lanes = CachedLanes(drops_tails=False)
    _serve_in_chunks(lanes, 0, [*LONG, 1])
    assert _serve_in_chunks(lanes, lane, [*LONG[:n_shared], 2, 3]) == n_cached


def test_what_has_a_snapshot_is_not_copied_again() -> None:
    lanes = CachedLanes(drops_tails=False, n_lanes=3)
    _serve_in_chunks(lanes, 0, [*LONG, 1])
    assert lanes.take_log() == ["save 0"] * 3
    _serve_in_chunks(lanes, 1, [*LONG, 2])
    assert lanes.take_log() == ["restore 1"]


def test_snapshots_of_other_salts_are_not_seen() -> None:
    lanes = CachedLanes(drops_tails=False)
    _serve_in_chunks(lanes, 0, LONG, "one")
    assert _serve_in_chunks(lanes, 1, LONG, "two") == 0


def test_snapshots_make_only_snapshots_go() -> None:
    n_bytes = ScriptedLanes.n_bytes
    lanes = CachedLanes(
        drops_tails=False, n_lanes=1, budget_bytes=n_bytes(len(A)) + n_bytes(3 * BLOCK)
    )
    _serve_in_chunks(lanes, 0, A)
    _serve_in_chunks(lanes, 0, LONG)
    assert lanes.cache.n_cached([*A, 1], "") == len(A)
    assert lanes.cache.n_cached([*LONG[: 3 * BLOCK], 1], "") == 3 * BLOCK
    assert lanes.cache.n_cached([*LONG[: 2 * BLOCK], 1], "") == 0


def test_where_snapshots_would_not_be_kept_none_are_made_and_nobody_waits_for_them() -> None:
    lanes = CachedLanes(drops_tails=False, n_lanes=1, budget_bytes=ScriptedLanes.n_bytes(len(A)))
    could_branch = lanes.cache.can_branch
    lanes.serve(0, A)
    lanes.serve(0, B)
    lanes.take_log()
    assert (could_branch, lanes.cache.can_branch) == (True, False)
    _serve_in_chunks(lanes, 0, LONG)
    assert lanes.take_log() == ["save 0"]  # of B, which gives way to it


def test_a_prompt_of_which_nothing_is_read_has_no_snapshot() -> None:
    lanes = CachedLanes(drops_tails=False)
    lanes.cache.start(0, LONG, "")
    lanes.cache.note_read(0, len(LONG))
    assert lanes.take_log() == []
    lanes.cache.check()


@pytest.mark.parametrize("grows", [True, False])
def test_only_states_that_grow_become_too_large_to_be_tried(grows: bool) -> None:
    index = PrefixIndex()
    index.insert(0, A[:10], "")
    parked = ParkedStates[SavedLane](index, 1000, index.remove, grows=grows)
    assert parked.keep(0, SavedLane(10, 900, n_lanes=1))
    assert parked.may_hold(10)
    assert parked.may_hold(10_000) is not grows


@pytest.mark.parametrize("abilities", [{"drops_tails": True}, {"budget_bytes": 0}])
def test_there_are_no_snapshots_where_they_are_of_no_use(abilities: dict[str, Any]) -> None:
    lanes = CachedLanes(**({"drops_tails": False} | abilities))
    _serve_in_chunks(lanes, 0, LONG)
    assert lanes.take_log() == []
    assert lanes.cache.n_block == int(abilities.get("drops_tails", False))


# --- Memory that cannot travel, and no memory ---


@pytest.mark.parametrize("drops_tails", [False, True])
@pytest.mark.parametrize("lacks", ["can_save", "can_restore"])
def test_where_memory_cannot_travel_it_is_tried_once_and_only_lanes_count(
    lacks: str, drops_tails: bool
) -> None:
    abilities: dict[str, Any] = {lacks: False}
    lanes = CachedLanes(n_lanes=3, drops_tails=drops_tails, **abilities)
    lanes.start(0, A)
    assert lanes.start(1, [*A, 1]) == 0
    n_tried = len(lanes.take_log())
    assert n_tried == (1 if lacks == "can_save" else 2)
    assert lanes.cache.n_block == 0
    assert lanes.cache.n_cached([*A, 2], "") == 0
    assert lanes.start(2, [*A, 2]) == 0
    lanes.end(1)
    assert lanes.start(1, [*A, 1, 3]) == len(A) + 1
    lanes.end(1)
    lanes.cache.vacate(1)
    assert lanes.take_log() == []
    assert lanes.cache.parked_bytes == 0


def test_a_copy_for_which_there_is_no_memory_fails_nobody() -> None:
    lanes = CachedLanes()
    lanes.start(0, A)
    lanes.session.n_saves_without_memory = 1
    assert lanes.start(1, [*A, 1]) == 0
    lanes.end(1)
    assert lanes.start(1, [*A, 2]) == len(A)


def test_a_restore_for_which_there_is_no_memory_is_tried_again_next_time() -> None:
    lanes = CachedLanes(n_lanes=1)
    lanes.serve(0, A)
    lanes.serve(0, B)
    lanes.session.n_restores_without_memory = 1
    assert lanes.serve(0, [*A, 1]) == 0
    assert lanes.cache.n_block == 1
    assert lanes.serve(0, [*B, 1]) == len(B)


def test_a_lane_that_cannot_be_parked_for_lack_of_memory_is_given_up() -> None:
    lanes = CachedLanes(n_lanes=1)
    lanes.serve(0, A)
    lanes.session.n_saves_without_memory = 1
    assert lanes.serve(0, B) == 0
    assert lanes.cache.parked_bytes == 0
    lanes.session.n_saves_without_memory = 1
    assert lanes.serve(0, B[:100] + C) == 100
    lanes.cache.check()


# --- Its own check ---


def _park_elsewhere(cache: Any) -> None:
    cache._in_lane[1] = next(iter(cache._parked))


def _forget_a_salt(cache: Any) -> None:
    cache._salts.popitem()


def _forget_a_lane(cache: Any) -> None:
    del cache._in_lane[0]


def _hold_more(cache: Any) -> None:
    cache._index.insert(99, [1, 2, 3])


def _change_a_salt(cache: Any) -> None:
    cache._salts[cache._in_lane[0]] = "other"


def _grow_silently(cache: Any) -> None:
    cache._session.read(0, [1])


def _shorten_a_parked(cache: Any) -> None:
    cache._index.truncate(next(iter(cache._parked)), 3)


def _miscount(cache: Any) -> None:
    cache._parked._n_bytes += 1


def _spend_too_much(cache: Any) -> None:
    cache._parked._budget_bytes = 10


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_park_elsewhere, "in two places"),
        (_forget_a_salt, "has no salt"),
        (_forget_a_lane, "nowhere"),
        (_hold_more, "other holders"),
        (_change_a_salt, "another salt"),
        (_grow_silently, "a lane has another length"),
        (_shorten_a_parked, "a parked state has another length"),
        (_miscount, "miscounted"),
        (_spend_too_much, "more than their budget"),
    ],
)
def test_check_finds_damage(damage: Callable[[Any], None], problem: str) -> None:
    lanes = CachedLanes(n_lanes=2)
    lanes.serve(0, A)
    lanes.serve(0, B)
    lanes.cache.check()
    damage(lanes.cache)
    with pytest.raises(InvariantError, match=problem):
        lanes.cache.check()


def test_state_that_is_far_too_large_is_not_even_saved() -> None:
    lanes = CachedLanes(n_lanes=1, budget_bytes=500)
    lanes.serve(0, A)
    lanes.serve(0, B)  # the first one tells how large they are
    assert lanes.take_log() == ["save 0"]
    lanes.serve(0, C)
    assert lanes.take_log() == []
