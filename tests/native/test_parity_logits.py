"""Rows of logits: llama.cpp's bits, lent and not copied."""

from collections.abc import Callable

import numpy as np
import pytest
from support.model_cases import GENERATIVE, LLAMA_SPM
from support.reference import ContextShape, Row
from support.sides import Sides, on_models
from support.step_script import SessionPlayer, Step

from pyrunner._native import Session

pytestmark = [pytest.mark.native, pytest.mark.model]

CONTEXT = {"n_ctx": 1024, "n_batch": 512, "n_threads": 1}
on_one_model = on_models([LLAMA_SPM])


@pytest.fixture
def session(sides: Sides) -> Session:
    return Session(sides.model, n_lanes=1, **CONTEXT)


def _prompt_steps(tokens: list[int], n_chunk: int, lane: int = 0) -> list[Step]:
    """Read a prompt; its last row wants logits."""
    rows = [Row(lane, pos, token) for pos, token in enumerate(tokens)]
    rows[-1] = Row(lane, len(tokens) - 1, tokens[-1], "logits")
    return [Step(chunk=rows[i : i + n_chunk]) for i in range(0, len(rows), n_chunk)]


@pytest.mark.parametrize(
    ("n_prompt", "n_chunk", "n_threads"), [(5, 512, 1), (700, 512, 1), (700, 48, 1), (650, 512, 2)]
)
@on_models(GENERATIVE)
def test_logits_after_a_prompt_equal_reference_bit_for_bit(
    sides: Sides, n_prompt: int, n_chunk: int, n_threads: int, draw_tokens: Callable[..., list[int]]
) -> None:
    tokens = draw_tokens(n_prompt, seed=1)
    steps = _prompt_steps(tokens, n_chunk)
    context = CONTEXT | {"n_threads": n_threads}
    session = Session(sides.model, n_lanes=1, **context)
    SessionPlayer(session).play(steps)
    sides.reference.open_context(ContextShape(n_lanes=1, **context))
    (theirs,) = sides.reference.logits([step.chunk for step in steps])
    with session.logits(0) as row:
        assert bytes(row) == theirs.tobytes()


@on_models(GENERATIVE)
def test_logits_of_eight_running_sequences_equal_reference_bit_for_bit(
    sides: Sides,
    draw_tokens: Callable[..., list[int]],
) -> None:
    lengths = (610, 3, 257, 64, 120, 9, 33, 500)
    prompts = [draw_tokens(n, seed=n) for n in lengths]
    steps = [
        Step(chunk=[Row(lane, pos, token) for pos, token in enumerate(prompt)][first : first + 400])
        for lane, prompt in enumerate(prompts)
        for first in range(0, len(prompt), 400)
    ]
    steps.append(
        Step(running=[Row(lane, n, 100 + lane, "logits") for lane, n in enumerate(lengths)])
    )
    session = Session(sides.model, n_lanes=8, **CONTEXT)
    SessionPlayer(session).play(steps)
    sides.reference.open_context(ContextShape(n_lanes=8, **CONTEXT))
    theirs = sides.reference.logits([step.chunk or step.running for step in steps])
    ours = [bytes(session.logits(i_output)) for i_output in range(session.n_outputs)]
    assert len(ours) == 8
    assert ours == [row.tobytes() for row in theirs]


@on_one_model
def test_lent_logits_are_the_memory_of_the_context_and_not_a_copy(session: Session) -> None:
    SessionPlayer(session).play(_prompt_steps([5, 6, 7], 512))
    first, second = session.logits(0), session.logits(0)
    array, again = np.asarray(first), np.asarray(second)
    assert array.shape == (32000,)
    assert array.dtype == np.float32
    assert not array.flags.owndata
    assert not array.flags.writeable
    assert array.flags.c_contiguous
    assert array.__array_interface__["data"] == again.__array_interface__["data"]
    assert np.shares_memory(array, again)


@on_one_model
def test_lent_logits_lie_where_the_next_step_writes(session: Session) -> None:
    player = SessionPlayer(session)
    player.play(_prompt_steps([5, 6, 7], 512))
    row = np.asarray(session.logits(0))
    address, copy = row.__array_interface__["data"][0], row.copy()
    del row
    player.play([Step(running=[Row(0, 3, 8, "logits")])])
    row = np.asarray(session.logits(0))
    assert row.__array_interface__["data"][0] == address
    assert not np.array_equal(row, copy)


@on_one_model
def test_step_refuses_while_logits_are_lent_and_works_after_release(session: Session) -> None:
    player = SessionPlayer(session)
    player.play(_prompt_steps([5, 6, 7], 512))
    next_step = Step(running=[Row(0, 3, 8, "logits")])
    lent = session.logits(0)
    with pytest.raises(BufferError, match="lent"):
        player.play_step(next_step)
    assert session.lane_length(0) == 3
    lent.release()
    player.play_step(next_step)
    assert session.lane_length(0) == 4


@on_one_model
def test_step_refuses_while_an_array_over_released_view_is_alive(session: Session) -> None:
    player = SessionPlayer(session)
    player.play(_prompt_steps([5, 6, 7], 512))
    next_step = Step(running=[Row(0, 3, 8, "logits")])
    array = np.asarray(session.logits(0))
    part = array[10:20]
    del array
    with pytest.raises(BufferError, match="lent"):
        player.play_step(next_step)
    assert part.shape == (10,)
    del part
    player.play_step(next_step)
    assert session.lane_length(0) == 4


@on_one_model
def test_lent_logits_outlive_the_session_object(sides: Sides) -> None:
    session = Session(sides.model, n_lanes=1, **CONTEXT)
    SessionPlayer(session).play(_prompt_steps([5, 6, 7], 512))
    row = np.asarray(session.logits(0))
    expected = row.copy()
    del session
    assert np.array_equal(row, expected)


@on_one_model
def test_logits_of_an_output_that_does_not_exist_are_an_index_error(session: Session) -> None:
    with pytest.raises(IndexError):
        session.logits(0)
    player = SessionPlayer(session)
    player.play(_prompt_steps([5, 6, 7], 512))
    assert session.n_outputs == 1
    for i_output in (-1, 1, 2**31 - 1):
        with pytest.raises(IndexError):
            session.logits(i_output)


@on_one_model
def test_logits_cannot_be_written(session: Session) -> None:
    SessionPlayer(session).play(_prompt_steps([5], 512))
    with session.logits(0) as row, pytest.raises(TypeError):
        row[0] = 1
