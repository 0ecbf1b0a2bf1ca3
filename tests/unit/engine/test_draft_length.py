import math
import random

import pytest

from pyrunner.engine.draft_length import (
    LENGTHS,
    Acceptance,
    Candidate,
    PassCosts,
    choose,
    choose_length,
    is_one_pass,
)


def _costs(first_s: float, per_row_s: float) -> PassCosts:
    costs = PassCosts()
    for n_rows in (1, 2, 4, 8, 16, 32, 64):
        costs.note(n_rows, first_s + (n_rows - 1) * per_row_s)
    return costs


def test_before_any_pass_nothing_is_drafted() -> None:
    assert choose_length(1, [Candidate(32, 1.0)], PassCosts(), 64) == 0


@pytest.mark.parametrize(
    ("passes", "length"),
    [({3: 0.01, 4: 0.05}, 0), ({1: 1.0, 2: 0.2}, 32)],
    ids=["a line below nothing", "a line that falls to nothing"],
)
def test_times_that_somebody_disturbed_divide_nothing_by_zero(
    passes: dict[int, float], length: int
) -> None:
    costs = PassCosts()
    for n_rows, seconds in passes.items():
        costs.note(n_rows, seconds)
    assert choose_length(1, [Candidate(32, 0.9)], costs, 64) == length


def test_without_candidates_nothing_is_drafted() -> None:
    assert choose_length(4, [], _costs(1, 0), 64) == 0


def test_rows_that_cost_nothing_are_all_used() -> None:
    assert choose_length(1, [Candidate(32, 0.9)], _costs(1, 0), 64) == 32


def test_rows_that_cost_as_much_as_passes_are_not_worth_it() -> None:
    assert choose_length(1, [Candidate(32, 0.9)], _costs(1, 1), 64) == 0


def test_guesses_that_are_seldom_right_are_not_worth_it() -> None:
    assert choose_length(1, [Candidate(32, 0.05)], _costs(1, 0.2), 64) == 0


def test_the_surer_the_guesses_the_longer_the_draft() -> None:
    costs = _costs(1, 0.2)
    lengths = [choose_length(1, [Candidate(32, rate)], costs, 64) for rate in (0.3, 0.6, 0.8, 0.97)]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_drafts_together_stay_within_their_rows() -> None:
    candidates = [Candidate(32, 0.99)] * 8
    assert choose_length(8, candidates, _costs(1, 0), 64) == 8


def test_a_draft_for_one_of_many_lanes_has_to_pay_for_a_pass_of_its_own() -> None:
    costs = _costs(1, 0.05)
    assert choose_length(8, [Candidate(1, 0.9)], costs, 64) == 0
    assert choose_length(8, [Candidate(32, 0.99)], costs, 64) == 32


@pytest.mark.parametrize("seed", range(20))
def test_what_is_chosen_is_a_known_length_and_promises_more(seed: int) -> None:
    rng = random.Random(seed)
    costs = _costs(rng.random(), rng.random() / 4)
    n_running = rng.randrange(1, 9)
    candidates = [
        Candidate(rng.randrange(1, 33), rng.random()) for _ in range(rng.randrange(n_running + 1))
    ]
    length = choose_length(n_running, candidates, costs, 64)
    assert length in (0, *LENGTHS)
    n_rows = sum(min(length, each.n_guesses) for each in candidates)
    assert n_rows <= 64
    if length:
        n_tokens = n_running + sum(each.expected(length) for each in candidates)
        assert n_tokens / n_running > 1.05


def test_drafts_that_have_to_be_made_first_are_shorter_or_none() -> None:
    costs = _costs(1, 0.05)
    candidates = [Candidate(16, 0.8)]
    free = choose(1, candidates, costs, 64)
    cheap = choose(1, candidates, costs, 64, lambda length: length * 0.1)
    dear = choose(1, candidates, costs, 64, lambda length: length * 1.0)
    assert free.length > cheap.length > dear.length == 0
    assert free.rate > cheap.rate > dear.rate == pytest.approx(1.0)


def test_costs_between_two_sizes_are_between_their_costs() -> None:
    costs = PassCosts()
    costs.note(1, 1.0)
    costs.note(9, 3.0)
    assert costs.expected_s(5) == pytest.approx(2.0)


def test_costs_of_sizes_never_seen_grow_from_the_largest() -> None:
    costs = PassCosts()
    assert math.isnan(costs.expected_s(1))
    costs.note(1, 1.0)
    assert costs.expected_s(1) == pytest.approx(1.0)
    assert 1.0 < costs.expected_s(2) < costs.expected_s(32)


def test_a_steep_line_between_longer_passes_leaves_short_ones_their_cost() -> None:
    costs = PassCosts()
    for n_rows, seconds in ((32, 1.0), (64, 9.0)):
        costs.note(n_rows, seconds)
    assert costs.expected_s(1) >= 0.5 / 32
    assert choose_length(1, [Candidate(8, 0.9)], costs, 8) >= 0


def test_passes_in_which_the_clock_stood_still_divide_nothing_by_zero() -> None:
    costs = PassCosts()
    for n_rows in (1, 8):
        costs.note(n_rows, 0.0)
    assert choose_length(1, [Candidate(8, 0.9)], costs, 64) > 0


def test_costs_follow_a_machine_that_gets_slower() -> None:
    costs = PassCosts()
    for _ in range(30):
        costs.note(4, 1.0)
    for _ in range(30):
        costs.note(4, 2.0)
    assert costs.expected_s(4) == pytest.approx(2.0, abs=0.01)


def test_a_size_that_was_slow_once_is_tried_again_some_day() -> None:
    costs = PassCosts()
    costs.note(1, 1.0)
    costs.note(5, 50.0)
    assert choose_length(1, [Candidate(4, 0.9)], costs, 64) == 0
    for _ in range(2500):
        costs.note(1, 1.0)
    assert choose_length(1, [Candidate(4, 0.9)], costs, 64) == 4


def test_sizes_that_are_hoped_for_get_faster() -> None:
    costs = PassCosts()
    costs.note(1, 1.0)
    costs.note(5, 3.0)
    costs.hope()
    assert costs.expected_s(1) < 1.0
    assert costs.expected_s(5) < 3.0


def test_guesses_that_were_right_raise_the_rate_and_wrong_ones_lower_it() -> None:
    acceptance = Acceptance(0.5)
    acceptance.note(8, 8)
    assert acceptance.rate > 0.9
    for _ in range(60):
        acceptance.note(8, 0)
    assert acceptance.rate < 0.1


def test_who_was_wrong_long_ago_gets_another_chance() -> None:
    acceptance = Acceptance(0.5)
    for _ in range(20):
        acceptance.note(8, 0)
    for _ in range(300):
        acceptance.note_none()
    assert acceptance.rate > 0.45


def test_a_candidate_expects_no_more_than_it_guesses() -> None:
    assert Candidate(4, 1.0).expected(32) == pytest.approx(4, abs=0.01)
    assert Candidate(32, 0.5).expected(1) == pytest.approx(0.5)


def test_drafts_of_unequal_length_have_to_pay_for_a_second_pass() -> None:
    assert is_one_pass(3, [])
    assert is_one_pass(2, [4, 4])
    assert not is_one_pass(2, [4, 2])
    assert not is_one_pass(3, [4, 4])
