"""What a draft model is told to read and keep, without a model."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from pyrunner.engine.draft_lanes import N_NEAR, READ_ROWS, DraftLanes


@dataclass(eq=False)
class _Text:
    tokens: list[int]
    n_generated: int = 0
    n_left: int = 1000

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)

    def tail(self, start: int) -> "array[int]":
        return array("i", self.tokens[start:])


@dataclass
class _Layout:
    n_ctx: int = 1000
    n_lanes: int = 2


@dataclass
class _Native:
    """Guesses that each token follows the one before; knows what its lanes hold."""

    n_batch: int = 512
    lanes: list[list[int]] = field(default_factory=lambda: [[], []])
    n_read: int = 0

    def set_layout(self, n_ctx: int, n_lanes: int) -> None:
        del n_ctx
        self.lanes = [[] for _ in range(n_lanes)]

    def draft(
        self, parts: list[dict[str, int]], tokens: list[int], p_min: float = 0.0
    ) -> tuple[list[int], list[int]]:
        assert len(tokens) <= self.n_batch
        assert p_min == 0
        counts, guesses, rest = [], [], list(tokens)
        for part in parts:
            lane = self.lanes[part["lane"]]
            assert part["n_keep"] <= len(lane)
            new, rest = rest[: part["n_new"]], rest[part["n_new"] :]
            said = [new[-1] + 1 + i for i in range(part["n_most"])]
            lane[part["n_keep"] :] = [*new, *said[:-1]]
            self.n_read += len(new)
            counts.append(len(said))
            guesses.extend(said)
        assert not rest
        return counts, guesses


@pytest.fixture
def native() -> _Native:
    return _Native()


@pytest.fixture
def layout() -> _Layout:
    return _Layout()


@pytest.fixture
def lanes(native: _Native, layout: _Layout) -> DraftLanes:
    return DraftLanes(native, layout, 10_000, _ticks().__next__)


def _ticks() -> Iterator[float]:
    now = 0.0
    while True:
        now += 1.0
        yield now


def test_what_was_right_of_a_draft_is_read_no_more(lanes: DraftLanes, native: _Native) -> None:
    text = _Text([1, 2, 3])
    lanes.follow([text])
    assert lanes.guess({text: 4})[text] == [4, 5, 6, 7]
    text.tokens += [4, 5, 50]
    lanes.follow([text])
    assert lanes.n_missing(text) == 1
    assert lanes.guess({text: 2})[text] == [51, 52]
    assert native.lanes[0] == [1, 2, 3, 4, 5, 50, 51]


def test_a_text_that_ends_where_its_lane_does_has_its_last_token_read_again(
    lanes: DraftLanes, native: _Native
) -> None:
    text = _Text([1, 2, 3])
    lanes.follow([text])
    lanes.guess({text: 4})
    assert lanes.n_missing(text) == 1
    lanes.guess({text: 1})
    assert native.lanes[0] == [1, 2, 3]


def test_a_new_text_takes_the_free_lane_that_holds_most_of_it(
    lanes: DraftLanes, native: _Native
) -> None:
    first, second = _Text([1, 2, 3]), _Text([7, 8, 9])
    lanes.follow([first, second])
    lanes.guess({first: 1, second: 1})
    turn = _Text([7, 8, 9, 10, 20])
    lanes.follow([first, turn])
    assert lanes.n_missing(turn) == 2
    lanes.guess({turn: 1})
    assert native.lanes == [[1, 2, 3], [7, 8, 9, 10, 20]]


def test_the_lane_of_a_running_text_is_nobody_elses(lanes: DraftLanes, native: _Native) -> None:
    first = _Text([1, 2, 3])
    lanes.follow([first])
    lanes.guess({first: 1})
    twin = _Text([1, 2, 3, 4])
    lanes.follow([first, twin])
    lanes.guess({twin: 1})
    assert native.lanes == [[1, 2, 3], [1, 2, 3, 4]]


def test_other_lanes_of_the_session_make_all_of_these_anew(
    lanes: DraftLanes, native: _Native, layout: _Layout
) -> None:
    text = _Text(list(range(30)))
    lanes.follow([text])
    lanes.guess({text: 1})
    layout.n_ctx, layout.n_lanes = 2000, 1
    lanes.follow([text])
    assert lanes.n_missing(text) == 30
    lanes.guess({text: 1})
    assert native.lanes == [text.tokens]


def test_a_lane_is_no_longer_than_the_draft_model_was_trained_for(native: _Native) -> None:
    lanes = DraftLanes(native, _Layout(), 100, _ticks().__next__)
    text = _Text(list(range(98)))
    lanes.follow([text])
    assert lanes.n_room(text) == 3
    text.tokens += [98, 99, 100]
    assert lanes.n_room(text) == 0


def test_a_long_text_is_read_in_parts_until_it_is_near(lanes: DraftLanes, native: _Native) -> None:
    text = _Text(list(range(READ_ROWS + N_NEAR)))
    lanes.follow([text])
    assert lanes.select([text]) == []
    lanes.read(text)
    assert native.n_read == READ_ROWS
    assert lanes.select([text]) == [text]
    lanes.guess({text: 1})
    assert native.lanes[0] == text.tokens


def test_no_more_is_read_for_guesses_than_fits_a_batch(lanes: DraftLanes, native: _Native) -> None:
    native.n_batch = N_NEAR + 5
    texts = [_Text([i] * N_NEAR) for i in range(2)]
    lanes.follow(texts)
    assert lanes.select(texts) == texts[:1]


def test_the_first_pass_of_a_context_says_nothing_about_the_next(lanes: DraftLanes) -> None:
    text = _Text([1, 2, 3])
    lanes.follow([text])
    lanes.guess({text: 4})
    assert lanes.guessing_s(1) == 0
    lanes.guess({text: 4})
    assert lanes.guessing_s(1) == pytest.approx(1 / 4)  # the clock ticks once a call
    assert lanes.guessing_s(0) == 0


def test_reading_is_as_long_as_its_parts(lanes: DraftLanes) -> None:
    text = _Text(list(range(3 * READ_ROWS)))
    lanes.follow([text])
    assert lanes.reading_s(1) == 0
    lanes.read(text)
    lanes.read(text)
    assert lanes.reading_s(READ_ROWS + 1) == pytest.approx(2.0)


def test_what_was_slow_is_hoped_to_be_faster_some_day(lanes: DraftLanes) -> None:
    text = _Text([1, 2, 3])
    lanes.follow([text])
    for _ in range(2):
        lanes.guess({text: 1})
    before = lanes.guessing_s(1)
    lanes.note_none()
    assert 0 < lanes.guessing_s(1) < before
