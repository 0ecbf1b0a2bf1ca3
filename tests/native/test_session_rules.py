"""What a session refuses, and what it keeps right when it is interrupted or collected."""

import gc
from collections.abc import Callable

import pytest
from support.model_cases import LLAMA_BPE, MAMBA
from support.reference import Row
from support.sides import Sides, on_models
from support.step_script import SessionPlayer, Step

from pyrunner._native import Session
from pyrunner._native.status import Status
from pyrunner.errors import InvariantError
from pyrunner.types import SamplingParams

pytestmark = [pytest.mark.native, pytest.mark.model]

Draw = Callable[..., list[int]]


@pytest.fixture
def session(sides: Sides) -> Session:
    return Session(sides.model, n_ctx=1024, n_lanes=2, n_batch=512, n_threads=1)


def _read(player: SessionPlayer, lane: int, prompt: list[int]) -> None:
    """Read a prompt in one chunk and ask for the logits of its last token."""
    rows = [Row(lane, pos, token) for pos, token in enumerate(prompt)]
    rows[-1] = Row(lane, len(prompt) - 1, prompt[-1], "logits")
    player.play_step(Step(chunk=rows))


@on_models([LLAMA_BPE])
def test_logits_lent_to_a_garbage_cycle_come_back(session: Session) -> None:
    player = SessionPlayer(session)
    _read(player, 0, [5, 6, 7])
    cycle: list[object] = [session.logits(0)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    player.play_step(Step(running=[Row(0, 3, 8, "logits")]))


@on_models([LLAMA_BPE])
def test_between_begin_and_finish_there_are_no_logits(session: Session) -> None:
    _read(SessionPlayer(session), 0, [5, 6, 7])
    tokens, positions, lanes, outputs = session.plan
    tokens[0], positions[0], lanes[0], outputs[0] = 8, 3, 0, 2
    session.begin(1, 0)
    with pytest.raises(IndexError):
        session.logits(0)
    session.finish()
    session.logits(0).release()


@on_models([LLAMA_BPE])
def test_between_begin_and_finish_no_lane_opens_or_closes(session: Session) -> None:
    player = SessionPlayer(session)
    player.open_lane(0, SamplingParams(temperature=0))
    tokens, positions, lanes, outputs = session.plan
    tokens[0], positions[0], lanes[0], outputs[0] = 8, 0, 0, 1
    session.begin(0, 1)
    with pytest.raises(InvariantError):
        session.close_lane(0)
    with pytest.raises(InvariantError):
        player.open_lane(0, SamplingParams(temperature=0))
    session.finish()
    assert session.n_outputs == 1


@on_models([MAMBA])
def test_interrupt_spares_a_chunk_that_could_not_be_taken_back(
    sides: Sides, session: Session, draw_tokens: Draw
) -> None:
    prompt = draw_tokens(300)
    _read(SessionPlayer(session), 0, prompt)
    expected = bytes(session.logits(0))

    nervous = Session(sides.model, n_ctx=1024, n_lanes=2, n_batch=512, n_threads=1)
    tokens, positions, lanes, outputs = nervous.plan
    for i, token in enumerate(prompt):
        tokens[i], positions[i], lanes[i], outputs[i] = token, i, 0, 2 * (i == len(prompt) - 1)
    nervous.interrupt()
    assert nervous.step(0, len(prompt)) is Status.OK
    assert bytes(nervous.logits(0)) == expected


@on_models([MAMBA])
def test_a_recurrent_state_travels_with_its_lane(
    sides: Sides, session: Session, draw_tokens: Draw
) -> None:
    prompt = draw_tokens(300)
    follow = Step(running=[Row(1, 300, 77, "logits")])
    player = SessionPlayer(session)
    _read(player, 1, prompt)
    player.play_step(follow)
    expected = bytes(session.logits(0))

    moved = Session(sides.model, n_ctx=1024, n_lanes=2, n_batch=512, n_threads=1)
    player = SessionPlayer(moved)
    _read(player, 0, prompt)
    moved.move_lane(0, 1)
    assert (moved.lane_length(0), moved.lane_length(1)) == (0, 300)
    player.play_step(follow)
    assert bytes(moved.logits(0)) == expected
