import random
from collections.abc import Sequence

import pytest

from pyrunner.engine.drafts import MAX_SEARCHED, N_NEAR, Prediction, PromptLookup


def test_lookup_finds_what_stood_behind_the_same_three_tokens() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 5, 6, 1, 2, 3])
    assert lookup.guess(2) == [4, 5]


def test_lookup_prefers_the_latest_place() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 0, 1, 2, 3, 5, 0])
    for token in (1, 2, 3):
        lookup.feed(token)
    assert lookup.guess(1) == [5]


def test_lookup_never_finds_the_end_itself() -> None:
    lookup = PromptLookup([7, 8, 9])
    assert lookup.guess(4) == []
    lookup.feed(1)
    assert lookup.guess(4) == []


def test_lookup_in_a_text_shorter_than_three_tokens_has_no_idea() -> None:
    for prompt in ([], [1], [1, 1]):
        assert PromptLookup(prompt).guess(4) == []


def test_lookup_that_was_fed_is_one_that_was_made_with_everything() -> None:
    rng = random.Random(3)
    tokens = [rng.randrange(3) for _ in range(400)]
    fed = PromptLookup(tokens[:1])
    for n_known in range(1, len(tokens)):
        assert fed.guess(5) == PromptLookup(tokens[:n_known]).guess(5)
        fed.feed(tokens[n_known])


def test_prediction_begins_with_its_beginning() -> None:
    assert Prediction([5, 6, 7]).guess(2) == [5, 6]


def test_prediction_is_followed_while_it_is_right() -> None:
    prediction = Prediction([5, 6, 7, 8])
    prediction.feed(5)
    prediction.feed(6)
    assert prediction.guess(9) == [7, 8]


def test_prediction_goes_on_behind_a_token_that_was_replaced() -> None:
    prediction = Prediction([5, 6, 7, 8])
    prediction.feed(5)
    prediction.feed(99)
    assert prediction.guess(9) == [7, 8]


def test_prediction_that_was_left_is_found_again_by_two_tokens() -> None:
    prediction = Prediction(range(1, 41))
    for token in (1, 90, 91, 92):
        prediction.feed(token)
    assert prediction.guess(9) == []
    prediction.feed(30)
    assert prediction.guess(9) == []
    prediction.feed(31)
    assert prediction.guess(3) == [32, 33, 34]


def test_prediction_that_was_left_is_found_again_by_one_token_where_it_was_left() -> None:
    for place in range(2, 2 + N_NEAR):
        prediction = Prediction(range(1, 41))
        for token in (1, 90, 91, place):
            prediction.feed(token)
        assert prediction.guess(2) == [place + 1, place + 2]
        prediction.feed(place + 1)
        assert prediction.guess(1) == [place + 2]


@pytest.mark.parametrize(
    ("expected", "said"),
    [([1, 2, 3, 4, 3, 5], (1, 90, 91, 3)), (range(1, 41), (1, *range(90, 90 + N_NEAR), 3))],
    ids=["twice", "late"],
)
def test_one_token_is_not_enough(expected: Sequence[int], said: Sequence[int]) -> None:
    prediction = Prediction(expected)
    for token in said:
        prediction.feed(token)
    assert prediction.guess(1) == []


def test_prediction_that_one_token_found_and_the_next_did_not_is_left_again() -> None:
    prediction = Prediction(range(1, 41))
    for token in (1, 90, 91, 5, 92):
        prediction.feed(token)
    assert prediction.guess(9) == []
    prediction.feed(6)
    assert prediction.guess(1) == [7]


def test_prediction_is_found_again_near_where_it_was_left() -> None:
    prediction = Prediction([1, 2, 30, 4, 5, 6, 7, 1, 2, 31])
    for token in (1, 2, 30, 4, 5, 90, 91, 92, 1, 2):
        prediction.feed(token)
    assert prediction.guess(1) == [31]


def test_prediction_that_was_said_whole_has_nothing_more() -> None:
    prediction = Prediction([1, 2])
    for token in (1, 2, 3, 4):
        prediction.feed(token)
    assert prediction.guess(4) == []


def test_only_the_end_of_a_long_prompt_is_searched() -> None:
    lookup = PromptLookup([1, 2, 3, 4, *([0] * MAX_SEARCHED), 1, 2, 3])
    assert lookup.guess(1) == []


def test_a_prediction_that_repeats_itself_is_found_again_at_once() -> None:
    prediction = Prediction([7] * (2 * MAX_SEARCHED))
    for token in (1, 2, 7, 7):
        prediction.feed(token)
    assert prediction.guess(3) == [7, 7, 7]
