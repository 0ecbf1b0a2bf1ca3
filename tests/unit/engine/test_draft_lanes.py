"""What a draft model is told to read and keep, without a model."""

from collections.abc import Iterator

import pytest
from support.scripted_draft import ScriptedDraft, ScriptedLayout, ScriptedText

from pyrunner.engine.draft_lanes import N_NEAR, READ_ROWS, DraftLanes


@pytest.fixture
def native() -> ScriptedDraft:
    return ScriptedDraft()


@pytest.fixture
def layout() -> ScriptedLayout:
    return ScriptedLayout()


@pytest.fixture
def lanes(native: ScriptedDraft, layout: ScriptedLayout) -> DraftLanes:
    return DraftLanes(native, layout, 10_000, _ticks().__next__)


def _ticks() -> Iterator[float]:
    now = 0.0
    while True:
        now += 1.0
        yield now


def test_what_was_right_of_a_draft_is_read_no_more(
    lanes: DraftLanes, native: ScriptedDraft
) -> None:
    text = ScriptedText([1, 2, 3])
    lanes.follow([text])
    assert lanes.guess({text: 4})[text] == [4, 5, 6, 7]
    text.tokens += [4, 5, 50]
    lanes.follow([text])
    assert lanes.n_missing(text) == 1
    assert lanes.guess({text: 2})[text] == [51, 52]
    assert native.lanes[0] == [1, 2, 3, 4, 5, 50, 51]


def test_a_text_that_ends_where_its_lane_does_has_its_last_token_read_again(
    lanes: DraftLanes, native: ScriptedDraft
) -> None:
    text = ScriptedText([1, 2, 3])
    lanes.follow([text])
    lanes.guess({text: 4})
    assert lanes.n_missing(text) == 1
    lanes.guess({text: 1})
    assert native.lanes[0] == [1, 2, 3]


def test_a_text_that_is_all_there_is_not_read_on(lanes: DraftLanes, native: ScriptedDraft) -> None:
    text = ScriptedText([1, 2, 3])
    lanes.follow([text])
    lanes.guess({text: 4})
    text.tokens += [4, 5, 6, 7]
    lanes.follow([text])
    assert lanes.n_missing(text) == 1
    lanes.read(text)
    assert native.lanes[0] == [1, 2, 3, 4, 5, 6]
    assert lanes.guess({text: 1})[text] == [8]


def test_a_new_text_takes_the_free_lane_that_holds_most_of_it(
    lanes: DraftLanes, native: ScriptedDraft
) -> None:
    first, second = ScriptedText([1, 2, 3]), ScriptedText([7, 8, 9])
    lanes.follow([first, second])
    lanes.guess({first: 1, second: 1})
    turn = ScriptedText([7, 8, 9, 10, 20])
    lanes.follow([first, turn])
    assert lanes.n_missing(turn) == 2
    lanes.guess({turn: 1})
    assert native.lanes == [[1, 2, 3], [7, 8, 9, 10, 20]]


def test_the_lane_of_a_running_text_is_nobody_elses(
    lanes: DraftLanes, native: ScriptedDraft
) -> None:
    first = ScriptedText([1, 2, 3])
    lanes.follow([first])
    lanes.guess({first: 1})
    twin = ScriptedText([1, 2, 3, 4])
    lanes.follow([first, twin])
    lanes.guess({twin: 1})
    assert native.lanes == [[1, 2, 3], [1, 2, 3, 4]]


def test_other_lanes_of_the_session_make_all_of_these_anew(
    lanes: DraftLanes, native: ScriptedDraft, layout: ScriptedLayout
) -> None:
    text = ScriptedText(list(range(30)))
    lanes.follow([text])
    lanes.guess({text: 1})
    layout.n_ctx, layout.n_lanes = 2000, 1
    lanes.follow([text])
    assert lanes.n_missing(text) == 30
    lanes.guess({text: 1})
    assert native.lanes == [text.tokens]


def test_a_lane_is_no_longer_than_the_draft_model_was_trained_for(native: ScriptedDraft) -> None:
    lanes = DraftLanes(native, ScriptedLayout(), 100, _ticks().__next__)
    text = ScriptedText(list(range(98)))
    lanes.follow([text])
    assert lanes.n_room(text) == 3
    text.tokens += [98, 99, 100]
    assert lanes.n_room(text) == 0


def test_a_long_text_is_read_in_parts_until_it_is_near(
    lanes: DraftLanes, native: ScriptedDraft
) -> None:
    text = ScriptedText(list(range(READ_ROWS + N_NEAR)))
    lanes.follow([text])
    assert lanes.select([text]) == []
    lanes.read(text)
    assert native.n_read == READ_ROWS
    assert lanes.select([text]) == [text]
    lanes.guess({text: 1})
    assert native.lanes[0] == text.tokens


def test_no_more_is_read_for_guesses_than_fits_a_batch(
    lanes: DraftLanes, native: ScriptedDraft
) -> None:
    native.n_batch = N_NEAR + 5
    texts = [ScriptedText([i] * N_NEAR) for i in range(2)]
    lanes.follow(texts)
    assert lanes.select(texts) == texts[:1]


def test_the_first_pass_of_a_context_says_nothing_about_the_next(lanes: DraftLanes) -> None:
    text = ScriptedText([1, 2, 3])
    lanes.follow([text])
    lanes.guess({text: 4})
    assert lanes.drafting_s(1, 1) == 0
    lanes.guess({text: 4})
    assert lanes.drafting_s(1, 1) == pytest.approx(1 / 4)  # the clock ticks once a call
    assert lanes.drafting_s(0, 1) == 0


def test_reading_is_as_long_as_its_parts(lanes: DraftLanes) -> None:
    text = ScriptedText(list(range(3 * READ_ROWS)))
    lanes.follow([text])
    assert lanes.reading_s(1) == 0
    lanes.read(text)
    lanes.read(text)
    assert lanes.reading_s(READ_ROWS + 1) == pytest.approx(2.0)


def test_what_was_slow_is_hoped_to_be_faster_some_day(lanes: DraftLanes) -> None:
    text = ScriptedText([1, 2, 3])
    lanes.follow([text])
    for _ in range(2):
        lanes.guess({text: 1})
    before = lanes.drafting_s(1, 1)
    lanes.note_none()
    assert 0 < lanes.drafting_s(1, 1) < before
