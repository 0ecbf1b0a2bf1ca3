"""Logprobs of a step: log-softmax of llama.cpp's own logits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.model_cases import GENERATIVE, LLAMA_BPE
from support.reference import ContextShape, Row
from support.sides import Sides, on_models
from support.step_script import SessionPlayer, Step

from pyrunner._native import Session
from pyrunner.errors import InvariantError
from pyrunner.types import SamplingParams

pytestmark = [pytest.mark.native, pytest.mark.model]

CONTEXT = {"n_ctx": 1024, "n_batch": 512, "n_threads": 1}
GREEDY = SamplingParams(temperature=0)
CLOSE = 1e-4

Item = tuple[int, float, bytes]


def _items(session: Session, i_output: int) -> list[Item]:
    offsets, tokens, values, piece_offsets, pieces = session.logprobs
    return [
        (tokens[j], values[j], pieces[piece_offsets[j] : piece_offsets[j + 1]])
        for j in range(offsets[i_output], offsets[i_output + 1])
    ]


def _log_softmax(row: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    wide = row.astype(np.float64)
    wide -= wide.max()
    result: npt.NDArray[np.float64] = wide - np.log(np.exp(wide).sum())
    return result


def _read(lane: int, tokens: list[int], want: Any = "sample") -> Step:
    rows = [Row(lane, pos, token) for pos, token in enumerate(tokens)]
    rows[-1] = Row(lane, len(tokens) - 1, tokens[-1], want)
    return Step(chunk=rows)


def _check(items: list[Item], theirs: npt.NDArray[np.float64], n_likeliest: int) -> None:
    (chosen, logprob, _), *likeliest = items
    assert len(likeliest) == n_likeliest
    assert abs(logprob - theirs[chosen]) < CLOSE
    best = np.argsort(-theirs, kind="stable")[:n_likeliest]
    assert [token for token, _, _ in likeliest] == best.tolist()
    assert np.allclose([value for _, value, _ in likeliest], theirs[best], atol=CLOSE, rtol=0)


@pytest.mark.parametrize(("n_prompt", "n_logprobs"), [(5, 20), (640, 20), (640, 0), (9, 3)])
@on_models(GENERATIVE)
def test_logprobs_after_a_prompt_are_the_references(
    sides: Sides, n_prompt: int, n_logprobs: int, draw_tokens: Callable[..., list[int]]
) -> None:
    prompt = draw_tokens(n_prompt, seed=4)
    halves = [prompt[:500], prompt[500:]]
    steps = [
        Step(chunk=[Row(0, 500 * i + pos, token) for pos, token in enumerate(half)])
        for i, half in enumerate(halves)
        if half
    ]
    last = steps[-1].chunk[-1]
    sides.reference.open_context(ContextShape(n_lanes=1, **CONTEXT))
    steps[-1].chunk[-1] = Row(0, last.pos, last.token, "logits")
    (theirs,) = sides.reference.logits([step.chunk for step in steps])
    steps[-1].chunk[-1] = Row(0, last.pos, last.token, "sample")
    session = Session(sides.model, n_lanes=1, **CONTEXT)
    player = SessionPlayer(session)
    player.open_lane(0, GREEDY, n_logprobs=n_logprobs)
    player.play(steps)
    _check(_items(session, 0), _log_softmax(theirs), n_logprobs)


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingParams(temperature=2.5, top_k=3, seed=1, logit_bias=((300, 100.0),)),
        SamplingParams(temperature=1.5, top_k=0, seed=1, repeat_penalty=3.0, presence_penalty=2.0),
    ],
    ids=["bias", "penalties"],
)
@on_models([LLAMA_BPE])
def test_logprobs_are_those_before_bias_penalties_and_temperature(
    sides: Sides, sampling: SamplingParams
) -> None:
    prompt = [300, 301, 302, 303, 300]
    sides.reference.open_context(ContextShape(n_lanes=1, **CONTEXT))
    (theirs,) = sides.reference.logits([_read(0, prompt, "logits").chunk])
    session = Session(sides.model, n_lanes=1, **CONTEXT)
    player = SessionPlayer(session)
    player.open_lane(0, sampling, prompt, n_logprobs=5)
    player.play_step(_read(0, prompt))
    _check(_items(session, 0), _log_softmax(theirs), 5)


@on_models([LLAMA_BPE])
def test_lanes_have_their_own_and_those_without_have_none(sides: Sides) -> None:
    session = Session(sides.model, n_lanes=3, **CONTEXT)
    player = SessionPlayer(session)
    for lane, n_logprobs in enumerate((-1, 2, 0)):
        player.open_lane(lane, GREEDY, n_logprobs=n_logprobs)
        player.play_step(_read(lane, [400 + lane, 401]))
    player.play_step(Step(running=[Row(lane, 2, None, "sample") for lane in range(3)]))
    assert [len(_items(session, i)) for i in range(3)] == [0, 3, 1]
    _, tokens, _, _ = session.result
    assert [_items(session, i)[0][0] for i in (1, 2)] == list(tokens[1:3])


@on_models([LLAMA_BPE])
def test_pieces_are_the_text_and_the_names_of_control_tokens(sides: Sides) -> None:
    end = sides.reference.facts.eos
    session = Session(sides.model, n_lanes=1, **CONTEXT)
    player = SessionPlayer(session)
    player.open_lane(0, SamplingParams(temperature=0, logit_bias=((end, 100.0),)), n_logprobs=20)
    player.play_step(_read(0, [400, 401]))
    (chosen, _, piece), *likeliest = _items(session, 0)
    assert (chosen, piece) == (end, b"")
    named = sides.reference.pieces([token for token, _, _ in likeliest], render_special=True)
    assert [each for _, _, each in likeliest] == named


@on_models([LLAMA_BPE])
def test_a_moved_lane_takes_its_logprobs_along_and_a_new_sequence_has_none(sides: Sides) -> None:
    session = Session(sides.model, n_lanes=2, **CONTEXT)
    player = SessionPlayer(session)
    player.open_lane(1, GREEDY, n_logprobs=1)
    player.play_step(_read(1, [400, 401]))
    player.move(1, 0)
    player.play_step(Step(running=[Row(0, 2, None, "sample")]))
    assert len(_items(session, 0)) == 2
    session.close_lane(0)
    player.open_lane(0, GREEDY)
    player.play_step(Step(running=[Row(0, 3, None, "sample")]))
    assert _items(session, 0) == []


@pytest.mark.parametrize("n_logprobs", [-2, 21])
@on_models([LLAMA_BPE])
def test_a_number_outside_the_range_is_refused(sides: Sides, n_logprobs: int) -> None:
    session = Session(sides.model, n_lanes=1, **CONTEXT)
    with pytest.raises(InvariantError):
        SessionPlayer(session).open_lane(0, GREEDY, n_logprobs=n_logprobs)
