"""What draft heads are fed and when, and that their guesses are what NumPy says they are."""

from collections.abc import Callable, Collection, Sequence
from typing import cast

import pytest
from support.headed_model import ENDING_HEAD, NO_HEAD, RANDOM_HEAD, RANDOM_HEADS, HeadedCase
from support.headed_numbers import HeadedNumbers
from support.reference import Row
from support.sides import Sides, on_models
from support.step_script import SessionPlayer, Step

from pyrunner._native import DraftHeads, Session
from pyrunner._native.status import Status
from pyrunner.errors import InvariantError, UnsupportedParameterError
from pyrunner.types import SamplingParams

pytestmark = [pytest.mark.native, pytest.mark.model]

Draw = Callable[..., list[int]]
N_CTX = 1024
N_BATCH = 512
LARGEST_GAP = 0.1
"""Logits between a guess and the favourite where sums have another order, and cells are of f16."""


class _Rig:
    """A session and the heads of its model."""

    def __init__(self, sides: Sides, case: HeadedCase) -> None:
        self.session = Session(
            sides.model,
            n_ctx=N_CTX,
            n_lanes=3,
            n_batch=N_BATCH,
            n_threads=1,
            n_drafts=8,
        )
        self.player = SessionPlayer(self.session)
        self.heads = DraftHeads(self.session)
        self.numbers = HeadedNumbers(case, sides.model.n_vocab)

    def read(self, lane: int, text: Sequence[int], start: int = 0, *, is_fed: bool = True) -> None:
        """Read a text but for its last token."""
        for begin in range(start, len(text) - 1, N_BATCH):
            part = enumerate(text[begin : min(begin + N_BATCH, len(text) - 1)], begin)
            self.player.play_step(Step(chunk=[Row(lane, pos, token, "-") for pos, token in part]))
            if is_fed:
                self.heads.feed()

    def guess(self, lane: int, text: Sequence[int], n_most: int = 3) -> list[int]:
        counts, guesses = self.heads.guess([_part(lane, text, n_most)])
        assert counts == [len(guesses)]
        return guesses

    def judge(
        self,
        text: Sequence[int],
        guesses: Sequence[int],
        start: int = 0,
        unknown: Collection[int] = (),
    ) -> None:
        assert guesses
        assert max(self.numbers.gaps(text, guesses, start, unknown)) <= LARGEST_GAP


def _part(lane: int, text: Sequence[int], n_most: int = 3) -> dict[str, int]:
    return {"lane": lane, "n_tokens": len(text), "token": text[-1], "n_most": n_most}


@pytest.fixture
def rig(sides: Sides, request: pytest.FixtureRequest) -> _Rig:
    return _Rig(sides, cast("HeadedCase", request.node.callspec.params["sides"]))


@on_models([RANDOM_HEAD, RANDOM_HEADS])
def test_guesses_for_texts_of_all_lengths_are_the_likeliest_tokens(
    rig: _Rig, draw_tokens: Draw
) -> None:
    texts = [draw_tokens(n, seed=n) for n in (4, 641, 41)]
    for lane, text in enumerate(texts):
        rig.read(lane, text)
    parts = [_part(0, texts[0], 3), _part(1, texts[1], 1), _part(2, texts[2], 2)]
    counts, guesses = rig.heads.guess(parts)
    assert counts == [3, 1, 2]
    for text, said in zip(texts, (guesses[:3], guesses[3:4], guesses[4:]), strict=True):
        rig.judge(text, said)


@on_models([RANDOM_HEAD])
def test_one_head_says_a_draft_of_any_length(rig: _Rig, draw_tokens: Draw) -> None:
    text = draw_tokens(30)
    rig.read(0, text)
    assert rig.heads.n_most == 0
    guesses = rig.guess(0, text, 12)
    assert len(guesses) == 12
    rig.judge(text, guesses)


@on_models([RANDOM_HEADS])
def test_of_several_heads_each_says_one_token(rig: _Rig, draw_tokens: Draw) -> None:
    text = draw_tokens(30)
    rig.read(0, text)
    assert rig.heads.n_most == 3
    with pytest.raises(InvariantError):
        rig.guess(0, text, 4)


@on_models([RANDOM_HEAD, RANDOM_HEADS])
def test_nothing_of_a_draft_stays_and_a_text_goes_on(rig: _Rig, draw_tokens: Draw) -> None:
    text = draw_tokens(650)
    rig.read(1, text[:641])
    first = rig.guess(1, text[:641])
    assert rig.guess(1, text[:641]) == first
    rig.read(1, text, 640)
    rig.judge(text, rig.guess(1, text))


@on_models([RANDOM_HEAD, RANDOM_HEADS])
def test_drafts_of_all_lengths_begin_alike(rig: _Rig, draw_tokens: Draw) -> None:
    text = draw_tokens(41)
    rig.read(0, text)
    longest = rig.guess(0, text, 3)
    assert [rig.guess(0, text, n) for n in (1, 2, 3)] == [longest[:1], longest[:2], longest]
    # What is read next follows the same state, too.
    rig.guess(0, text, 1)
    text += draw_tokens(20, seed=1)
    rig.read(0, text, 40)
    rig.judge(text, rig.guess(0, text))


@on_models([ENDING_HEAD])
def test_a_draft_ends_before_the_end_of_an_answer(rig: _Rig) -> None:
    text = [100, 200, ENDING_HEAD.last]
    rig.read(0, text)
    rig.read(1, text[:2])
    parts = [_part(0, text), _part(1, text[:2])]
    counts, guesses = rig.heads.guess(parts)
    assert counts == [0, 3]
    assert len(guesses) == 3


@on_models([RANDOM_HEAD, RANDOM_HEADS])
def test_rows_behind_a_wrong_guess_are_not_fed(rig: _Rig, draw_tokens: Draw) -> None:
    text = draw_tokens(40)
    rig.player.open_lane(0, SamplingParams(temperature=0))
    rig.read(0, text)
    wrong = [Row(0, 39, text[-1], "sample"), Row(0, 40, 300, "sample"), Row(0, 41, 301, "sample")]
    rig.player.play_step(Step(running=wrong))
    chosen = list(rig.session.result[1])
    assert len(chosen) == 1
    assert rig.heads.feed() == 1
    text += chosen
    rig.judge(text, rig.guess(0, text))


@on_models([RANDOM_HEAD])
def test_what_was_fed_is_not_fed_again(rig: _Rig, draw_tokens: Draw) -> None:
    text = draw_tokens(40)
    rig.read(0, text, is_fed=False)
    assert not rig.heads.is_ready(0, 40)
    assert rig.heads.feed() == 39
    assert rig.heads.feed() == 0
    assert rig.heads.is_ready(0, 40)
    assert not any(rig.heads.is_ready(0, n) for n in (39, 41, 0, -1))
    assert not any(rig.heads.is_ready(lane, 40) for lane in (-1, 1, 3))


@on_models([RANDOM_HEAD, RANDOM_HEADS])
def test_a_lane_that_became_shorter_lacks_the_state_before_what_follows(
    rig: _Rig, draw_tokens: Draw
) -> None:
    text = draw_tokens(60)
    rig.read(0, text)
    rig.session.truncate_lane(0, 30)
    assert not rig.heads.is_ready(0, 31)
    assert not rig.heads.is_ready(0, 60)
    other = text[:30] + draw_tokens(20, seed=1)
    rig.read(0, other, 30)
    rig.judge(other, rig.guess(0, other), unknown=[30])


@on_models([RANDOM_HEAD, RANDOM_HEADS])
@pytest.mark.parametrize("way", ["moved", "restored", "not fed"])
def test_a_lane_of_which_the_heads_know_nothing_begins_anew(
    rig: _Rig, draw_tokens: Draw, way: str
) -> None:
    text = draw_tokens(60)
    rig.read(0, draw_tokens(50, seed=1))
    rig.session.clear_lane(0)
    rig.read(1, text[:41], is_fed=way != "not fed")
    lane = 1
    if way == "moved":
        rig.session.move_lane(1, 0)
        lane = 0
    if way == "restored":
        rig.session.restore_lane(1, rig.session.save_lane(1))
    if way == "not fed":
        rig.read(0, [5, 6, 7])
    assert not rig.heads.is_ready(lane, 41)
    rig.read(lane, text, 40)
    rig.judge(text, rig.guess(lane, text), start=40)


@on_models([RANDOM_HEAD, RANDOM_HEADS])
def test_lanes_follow_those_of_the_session(rig: _Rig, draw_tokens: Draw) -> None:
    before = rig.heads.lanes_bytes
    rig.read(0, draw_tokens(60, seed=1))
    rig.session.set_layout(2048, 1)
    assert not rig.heads.is_ready(0, 60)
    text = draw_tokens(1200)
    rig.read(0, text)
    assert rig.heads.n_ctx == 2048
    assert 0 < rig.heads.lanes_bytes < before
    rig.judge(text, rig.guess(0, text))


@on_models([RANDOM_HEAD])
def test_lanes_that_were_made_anew_as_they_were_are_fed_anew(rig: _Rig, draw_tokens: Draw) -> None:
    rig.read(0, draw_tokens(60, seed=1))
    rig.session.set_layout(N_CTX, 3)
    assert not rig.heads.is_ready(0, 60)
    text = draw_tokens(60)
    rig.read(0, text)
    rig.judge(text, rig.guess(0, text))


@on_models([RANDOM_HEAD])
def test_a_chunk_that_was_interrupted_leaves_nothing_to_read(rig: _Rig, draw_tokens: Draw) -> None:
    text = draw_tokens(400)
    rig.session.interrupt()
    tokens, positions, lanes, outputs = rig.session.plan
    for i, token in enumerate(text[:-1]):
        tokens[i], positions[i], lanes[i], outputs[i] = token, i, 0, 0
    assert rig.session.step(0, len(text) - 1) is Status.ABORTED
    assert rig.heads.feed() == 0
    rig.read(0, text)
    rig.judge(text, rig.guess(0, text))


@on_models([RANDOM_HEAD, RANDOM_HEADS])
def test_the_last_cell_can_be_guessed_behind(rig: _Rig, draw_tokens: Draw) -> None:
    text = draw_tokens(N_CTX - 1)
    rig.read(0, text)
    assert len(rig.guess(0, text, 2)) == 2
    with pytest.raises(InvariantError):
        rig.guess(0, text, 3)
    # All lanes read as many guesses.
    other = draw_tokens(20, seed=1)
    rig.read(1, other)
    counts, guesses = rig.heads.guess([_part(0, text, 2), _part(1, other, 3)])
    assert counts == [2, 2]
    rig.judge(other, guesses[2:])


@on_models([RANDOM_HEAD])
@pytest.mark.parametrize(
    "changes",
    [
        {"lane": -1},
        {"lane": 3},
        {"lane": 2},
        {"n_tokens": 9},
        {"n_tokens": 11},
        {"token": -1},
        {"token": 10**6},
        {"n_most": 0},
        {"n_most": N_CTX},
    ],
    ids=lambda changes: " ".join(f"{name} {number}" for name, number in changes.items()),
)
def test_parts_that_cannot_be_are_refused_and_nothing_happens(
    rig: _Rig, draw_tokens: Draw, changes: dict[str, int]
) -> None:
    text = draw_tokens(10)
    for lane in (0, 1):
        rig.read(lane, text)
    before = rig.guess(0, text)
    with pytest.raises(InvariantError):
        rig.heads.guess([_part(1, text), _part(0, text) | changes])
    assert rig.guess(0, text) == before


@on_models([RANDOM_HEAD])
def test_a_lane_twice_is_refused(rig: _Rig, draw_tokens: Draw) -> None:
    text = draw_tokens(10)
    rig.read(0, text)
    with pytest.raises(InvariantError):
        rig.heads.guess([_part(0, text), _part(0, text)])


@on_models([RANDOM_HEAD])
def test_a_session_that_keeps_no_states_feeds_no_heads(sides: Sides) -> None:
    session = Session(sides.model, n_ctx=64, n_lanes=1, n_batch=8, n_threads=1)
    assert not session.keeps_hidden
    with pytest.raises(UnsupportedParameterError):
        DraftHeads(session)


@on_models([NO_HEAD])
def test_heads_that_were_not_loaded_are_refused(sides: Sides) -> None:
    session = Session(sides.model, n_ctx=64, n_lanes=1, n_batch=8, n_threads=1, n_drafts=8)
    assert sides.model.n_draft_heads == 0
    with pytest.raises(UnsupportedParameterError):
        DraftHeads(session)


@on_models([RANDOM_HEAD])
def test_heads_outlive_the_name_of_their_session(rig: _Rig, draw_tokens: Draw) -> None:
    text = draw_tokens(10)
    rig.read(0, text)
    heads = rig.heads
    del rig.session, rig.player
    assert heads.guess([_part(0, text)])[0] == [3]
