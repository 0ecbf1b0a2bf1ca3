"""When a model's own draft heads are fed and asked, without a model."""

from collections.abc import Iterator

import pytest
from support.scripted_draft import ScriptedText

from pyrunner.engine.draft_length import Choice
from pyrunner.engine.guesser import MAX_DRAFTED
from pyrunner.engine.head_lanes import HeadLanes

BETTER = Choice(2, 3.0)
NOW = Choice(0, 1.0)


class _Heads:
    """Fed all there is at once; guesses that each token is the one before and 1."""

    n_ctx = 100
    n_most = 0
    lanes_bytes = 5

    def __init__(self) -> None:
        self.n_rows = 7
        self.lengths: dict[int, int] = {}
        self.asked: list[list[int]] = []

    def feed(self) -> int:
        n_rows, self.n_rows = self.n_rows, 0
        return n_rows

    def is_ready(self, lane: int, n_tokens: int) -> bool:
        return self.lengths.get(lane) == n_tokens - 1

    def guess(self, parts: list[dict[str, int]]) -> tuple[list[int], list[int]]:
        self.asked.append([part["lane"] for part in parts])
        said = [[part["token"] + 1 + i for i in range(part["n_most"])] for part in parts]
        return [len(each) for each in said], [token for each in said for token in each]


@pytest.fixture
def heads() -> _Heads:
    return _Heads()


@pytest.fixture
def lanes(heads: _Heads) -> HeadLanes:
    return HeadLanes(heads, _ticks().__next__)


def _ticks() -> Iterator[float]:
    now = 0.0
    while True:
        now += 1.0
        yield now


def test_every_step_is_fed_until_guesses_are_known_not_to_pay(
    lanes: HeadLanes, heads: _Heads
) -> None:
    lanes.note_step()
    assert heads.n_rows == 0
    heads.n_rows = 3
    lanes.catch_up([], NOW, NOW)
    lanes.note_step()
    assert heads.n_rows == 3
    lanes.catch_up([], NOW, BETTER)
    lanes.note_step()
    assert heads.n_rows == 0


def test_what_is_not_known_yet_is_no_reason_to_rest(lanes: HeadLanes, heads: _Heads) -> None:
    lanes.catch_up([], Choice(0, 0.0), Choice(0, 0.0))
    lanes.note_step()
    assert heads.n_rows == 0


def test_only_a_text_that_was_fed_to_its_end_is_gone_on_from(
    lanes: HeadLanes, heads: _Heads
) -> None:
    texts = [ScriptedText([1, 2, 3], lane=lane) for lane in (0, 1, 2)]
    heads.lengths = {0: 2, 1: 3}
    assert lanes.select(texts) == texts[:1]


def test_texts_are_asked_about_in_the_order_of_their_lanes(lanes: HeadLanes, heads: _Heads) -> None:
    first, second = ScriptedText([1, 2, 3], lane=1), ScriptedText([7, 8], lane=0)
    said = lanes.guess({first: 2, second: 1})
    assert heads.asked == [[0, 1]]
    assert (said[first], said[second]) == ([4, 5], [9])


@pytest.mark.parametrize(("n_most", "expected"), [(0, MAX_DRAFTED), (3, 3), (99, MAX_DRAFTED)])
def test_a_draft_is_no_longer_than_there_are_heads(
    lanes: HeadLanes, heads: _Heads, n_most: int, expected: int
) -> None:
    heads.n_most = n_most
    assert lanes.n_most == expected


def test_a_text_has_room_up_to_one_behind_its_last_cell(lanes: HeadLanes) -> None:
    assert lanes.n_room(ScriptedText([0] * 98)) == 3
    assert lanes.n_room(ScriptedText([0] * 101)) == 0


def test_a_draft_takes_feeding_once_and_a_pass_for_each_guess(
    lanes: HeadLanes, heads: _Heads
) -> None:
    text = ScriptedText([1, 2, 3])
    assert lanes.drafting_s(1, 4) == 0
    for _ in range(2):  # the first pass of either kind makes its graphs, too
        heads.n_rows = 1
        lanes.note_step()
        lanes.guess({text: 4})
    # The clock ticks once a call.
    assert lanes.drafting_s(1, 4) == pytest.approx(1 + 4 * (1 / 4))
    assert lanes.drafting_s(0, 4) == 0


def test_what_was_slow_is_hoped_to_be_faster_some_day(lanes: HeadLanes, heads: _Heads) -> None:
    text = ScriptedText([1, 2, 3])
    for _ in range(2):
        heads.n_rows = 1
        lanes.note_step()
        lanes.guess({text: 1})
    before = lanes.drafting_s(1, 1)
    lanes.note_none()
    assert 0 < lanes.drafting_s(1, 1) < before
