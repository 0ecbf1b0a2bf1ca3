"""What rests in lanes and host memory, and what a request starts from."""

import pytest
from support.scripted_lanes import CachedLanes, ScriptedLanes

from pyrunner.engine.prefix_cache import MIN_COPIED

A = list(range(1000, 1200))
B = list(range(2000, 2200))
C = list(range(3000, 3200))
N_PLENTY = CachedLanes.N_PLENTY


def test_an_empty_cache_has_nothing() -> None:
    lanes = CachedLanes()
    assert lanes.cache.n_cached(A, "") == 0
    assert lanes.serve(0, A) == 0
    assert lanes.take_log() == []


@pytest.mark.parametrize("budget_bytes", [0, N_PLENTY])
def test_a_conversation_that_rests_in_its_lane_goes_on_without_a_copy(budget_bytes: int) -> None:
    lanes = CachedLanes(budget_bytes=budget_bytes)
    lanes.start(0, A)
    lanes.go_on(0, [1, 2, 3])
    lanes.end(0)
    longer = [*A, 1, 2, 3, *B]
    assert lanes.cache.n_cached(longer, "") == len(A) + 3
    assert lanes.serve(0, longer) == len(A) + 3
    assert lanes.take_log() == []


def test_of_an_equal_prompt_the_last_token_is_read_again() -> None:
    lanes = CachedLanes()
    lanes.serve(0, A)
    assert lanes.serve(0, A) == len(A) - 1
    assert lanes.session.tokens(0) == A
    assert lanes.take_log() == []


def test_a_prompt_of_one_token_has_nothing_cached() -> None:
    lanes = CachedLanes()
    lanes.serve(0, A)
    assert lanes.serve(0, A[:1]) == 0


def test_what_has_to_leave_its_lane_is_parked_and_comes_back() -> None:
    lanes = CachedLanes(n_lanes=1)
    lanes.serve(0, A)
    assert lanes.serve(0, B) == 0
    assert lanes.cache.parked_bytes == ScriptedLanes.n_bytes(len(A))
    assert lanes.take_log() == ["save 0"]
    assert lanes.cache.n_cached([*A, 1], "") == len(A)
    assert lanes.serve(0, [*A, 1]) == len(A)
    assert lanes.take_log() == ["save 0", "restore 0"]
    assert lanes.serve(0, [*B, 1]) == len(B)


def test_a_parked_state_longer_than_a_lane_is_left_alone_and_a_shorter_one_is_found() -> None:
    lanes = CachedLanes(n_lanes=2)
    lanes.serve(0, [*A, *B])
    lanes.serve(1, [*A[:150], *C])
    lanes.cache.park_all()
    lanes.session.n_ctx = len([*A, *B]) - 1
    lanes.take_log()
    assert lanes.serve(0, [*A, 1]) == 150
    lanes.session.n_ctx = 10**6
    assert lanes.serve(0, [*A, *B, 1]) == len(A) + len(B)


def test_a_vacated_lane_is_empty_and_parked() -> None:
    lanes = CachedLanes()
    lanes.serve(0, A)
    lanes.cache.vacate(0)
    lanes.cache.check()
    assert lanes.session.tokens(0) == []
    assert lanes.cache.n_cached([*A, 1], "") == len(A)
    lanes.cache.vacate(1)  # which never held anything
    assert lanes.take_log() == ["save 0"]


def test_without_a_budget_nothing_is_parked_nor_even_saved() -> None:
    lanes = CachedLanes(n_lanes=1, budget_bytes=0)
    lanes.serve(0, A)
    lanes.serve(0, B)
    assert lanes.serve(0, A) == 0
    assert lanes.cache.parked_bytes == 0
    assert lanes.take_log() == []


def test_a_state_larger_than_the_budget_is_dropped_and_no_other_for_it() -> None:
    lanes = CachedLanes(n_lanes=1, budget_bytes=ScriptedLanes.n_bytes(len(A)))
    lanes.serve(0, A)
    lanes.serve(0, B + C)
    lanes.serve(0, C)
    assert lanes.cache.parked_bytes == ScriptedLanes.n_bytes(len(A))
    assert lanes.cache.n_cached([*B, 1], "") == 0
    assert lanes.serve(0, [*A, 1]) == len(A)


def test_the_budget_is_kept_by_dropping_the_least_recently_used() -> None:
    lanes = CachedLanes(n_lanes=1, budget_bytes=2 * ScriptedLanes.n_bytes(200))
    for prompt in (A, B, C):
        lanes.serve(0, prompt)
    assert lanes.cache.parked_bytes == 2 * ScriptedLanes.n_bytes(200)
    lanes.serve(0, list(range(4000, 4200)))
    lanes.cache.check()
    assert lanes.cache.parked_bytes == 2 * ScriptedLanes.n_bytes(200)
    found = [lanes.cache.n_cached([*prompt, 1], "") for prompt in (A, B, C)]
    assert found == [0, 200, 200]


def test_what_another_holds_as_well_goes_first() -> None:
    lanes = CachedLanes(n_lanes=3, budget_bytes=2 * ScriptedLanes.n_bytes(200))
    lanes.serve(0, B)
    lanes.cache.vacate(0)
    lanes.start(1, A)
    assert lanes.start(0, [*A, 1]) == 200  # and A is parked, though its lane has it too
    lanes.serve(2, C)
    lanes.cache.vacate(2)
    lanes.cache.check()
    assert lanes.cache.n_cached([*B, 1], "") == 200


def test_a_request_branches_off_a_running_one() -> None:
    lanes = CachedLanes()
    lanes.start(0, A)
    lanes.go_on(0, B[:50])
    prompt = [*A, *B[:30], *C]
    assert lanes.cache.n_cached(prompt, "") == 230
    assert lanes.start(1, prompt) == 230
    assert lanes.take_log() == ["save 0", "restore 1"]
    assert lanes.session.tokens(0) == A + B[:50]


def test_those_who_branch_off_together_share_one_save() -> None:
    lanes = CachedLanes(n_lanes=4)
    lanes.start(0, A)
    for lane in (1, 2, 3):
        assert lanes.start(lane, [*A, lane]) == len(A)
    assert lanes.take_log() == ["save 0", "restore 1", "restore 2", "restore 3"]


def test_without_a_budget_requests_branch_off_all_the_same() -> None:
    lanes = CachedLanes(n_lanes=3, budget_bytes=0)
    lanes.start(0, A)
    assert lanes.start(1, [*A, 1]) == len(A)
    assert lanes.start(2, [*A, 2]) == len(A)
    assert lanes.cache.parked_bytes == 0


def test_what_is_found_survives_making_room_for_what_lies_in_the_lane() -> None:
    lanes = CachedLanes(n_lanes=1, budget_bytes=ScriptedLanes.n_bytes(201))
    lanes.serve(0, A)
    lanes.serve(0, [*B, 1])
    assert lanes.serve(0, [*A, 1]) == len(A)  # and parking B reclaimed A
    assert lanes.cache.n_cached([*B, 1, 2], "") == len(B) + 1


def test_the_beginning_stays_where_the_rest_differs_and_the_rest_is_parked() -> None:
    lanes = CachedLanes(n_lanes=1)
    lanes.serve(0, A + B)
    assert lanes.serve(0, A + C) == len(A)
    assert lanes.take_log() == ["save 0"]
    assert lanes.cache.n_cached([*A, *B, 1], "") == len(A + B)
    assert lanes.serve(0, [*A, *B, 1]) == len(A + B)


def test_a_short_rest_is_not_worth_parking() -> None:
    lanes = CachedLanes(n_lanes=1)
    lanes.serve(0, A + B[: MIN_COPIED - 1])
    assert lanes.serve(0, A + C) == len(A)
    assert lanes.take_log() == []


@pytest.mark.parametrize("budget_bytes", [0, 1])
def test_the_beginning_stays_where_the_rest_finds_no_room(budget_bytes: int) -> None:
    lanes = CachedLanes(n_lanes=1, budget_bytes=budget_bytes)
    lanes.serve(0, A + B)
    assert lanes.serve(0, A + C) == len(A)
    assert lanes.cache.n_cached([*A, *B, 1], "") == len(A)


@pytest.mark.parametrize(("n_shared", "n_cached"), [(MIN_COPIED - 1, 0), (MIN_COPIED, MIN_COPIED)])
def test_a_short_prefix_is_read_again_rather_than_copied(n_shared: int, n_cached: int) -> None:
    lanes = CachedLanes()
    lanes.start(0, A)
    prompt = [*A[:n_shared], *B]
    assert lanes.cache.n_cached(prompt, "") == n_cached
    assert lanes.start(1, prompt) == n_cached
    assert bool(lanes.take_log()) is (n_cached > 0)


def test_a_short_prefix_is_kept_where_it_costs_no_copy() -> None:
    lanes = CachedLanes()
    lanes.serve(0, A[:5])
    assert lanes.serve(0, A[:5] + B) == 5
    assert lanes.take_log() == []


@pytest.mark.parametrize(("n_held", "n_cached"), [(64 * 40, 40), (64 * 40 + 1, 0)])
def test_a_long_state_is_not_copied_for_a_small_part_of_it(n_held: int, n_cached: int) -> None:
    lanes = CachedLanes()
    long = list(range(n_held))
    lanes.start(0, long)
    assert lanes.start(1, [*long[:40], 5]) == n_cached


def test_where_no_copy_pays_what_lies_in_the_lane_is_used() -> None:
    lanes = CachedLanes()
    lanes.serve(0, A[:10])
    lanes.start(1, A[:20] + B)
    assert lanes.serve(0, A[:20] + C) == 10
    assert lanes.take_log() == []


def test_a_short_conversation_is_not_parked() -> None:
    lanes = CachedLanes(n_lanes=1)
    lanes.serve(0, A[: MIN_COPIED - 1])
    lanes.serve(0, B)
    assert lanes.take_log() == []
    assert lanes.cache.parked_bytes == 0


def test_what_another_holds_is_not_parked() -> None:
    lanes = CachedLanes(budget_bytes=ScriptedLanes.n_bytes(400))
    lanes.serve(0, A)
    lanes.start(1, [*A, 1])
    lanes.take_log()
    n_bytes = lanes.cache.parked_bytes
    lanes.cache.vacate(0)
    assert lanes.take_log() == []
    assert lanes.cache.parked_bytes == n_bytes
    assert lanes.cache.n_cached([*A, 2], "") == len(A)


def test_a_moved_lane_is_found_in_its_new_place() -> None:
    lanes = CachedLanes()
    lanes.serve(0, B)
    lanes.start(1, A)
    assert lanes.cache.move(1, 0)
    lanes.go_on(0, [1, 2])
    lanes.end(0)
    assert lanes.serve(0, [*A, 1, 2, 3]) == len(A) + 2
    assert lanes.serve(1, [*B, 1]) == len(B)


@pytest.mark.parametrize("is_parked", [False, True])
def test_salts_share_nothing(is_parked: bool) -> None:
    lanes = CachedLanes()
    lanes.serve(0, A, "one")
    if is_parked:
        lanes.cache.vacate(0)
    for salt in ("two", ""):
        assert lanes.cache.n_cached([*A, 1], salt) == 0
        assert lanes.serve(1, [*A, 1], salt) == 0
    assert lanes.cache.n_cached([*A, 1], "one") == len(A)
    assert lanes.serve(0, [*A, 1], "one") == len(A)


def test_the_lane_of_another_salt_is_emptied_first() -> None:
    lanes = CachedLanes(n_lanes=1, budget_bytes=0)
    lanes.serve(0, A, "one")
    assert lanes.serve(0, A, "two") == 0


def test_among_equal_holders_one_that_is_parked_already_saves_the_save() -> None:
    lanes = CachedLanes(n_lanes=3)
    lanes.start(0, A)
    lanes.start(1, [*A, 1])
    lanes.end(0)
    lanes.start(0, A)  # used after the copy was parked
    lanes.take_log()
    assert lanes.start(2, [*A, 2]) == len(A)
    assert lanes.take_log() == ["restore 2"]


def test_a_parked_state_that_was_used_outlives_one_that_was_not() -> None:
    lanes = CachedLanes(n_lanes=6, budget_bytes=2 * ScriptedLanes.n_bytes(200))
    lanes.start(0, A)
    lanes.start(1, B)
    lanes.start(2, [*A, 1])
    lanes.start(3, [*B, 1])
    lanes.start(4, [*A, 2])
    lanes.serve(5, C)
    lanes.cache.vacate(5)
    lanes.take_log()
    assert lanes.start(5, [*A, 3]) == len(A)
    assert lanes.take_log() == ["restore 5"]


def test_a_copy_of_what_a_lane_has_costs_nothing_that_nobody_else_has() -> None:
    lanes = CachedLanes(n_lanes=3, budget_bytes=2 * ScriptedLanes.n_bytes(200))
    for prompt in (B, C):
        lanes.serve(0, prompt)
        lanes.cache.vacate(0)
    lanes.start(1, A)
    assert lanes.start(0, [*A, 1]) == len(A)
    lanes.cache.check()
    assert [lanes.cache.n_cached([*prompt, 1], "") for prompt in (B, C)] == [200, 200]


def test_a_copy_of_what_a_lane_has_takes_the_place_of_another_such() -> None:
    lanes = CachedLanes(n_lanes=5, budget_bytes=ScriptedLanes.n_bytes(200))
    lanes.start(0, A)
    lanes.start(1, [*A, 1])
    lanes.start(2, B)
    lanes.start(3, [*B, 1])
    lanes.take_log()
    assert lanes.start(4, [*B, 2]) == len(B)
    assert lanes.take_log() == ["restore 4"]
