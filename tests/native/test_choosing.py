"""Tokens of several lanes chosen at once: the same as those of each lane alone.

Alone means that the other lanes of the step only lend their logits, so that shapes and threads,
and therefore all logits, are equal, but there is nothing to share out.
"""

import math
import random
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Literal

import pytest
from msgspec.structs import replace
from support.model_cases import GPT2_SMALL, QWEN2
from support.reference import Row
from support.sides import Sides, on_models
from support.step_script import SessionPlayer, Step

from pyrunner._native import Session
from pyrunner.types import SamplingParams

pytestmark = [pytest.mark.native, pytest.mark.model]

N_STEPS = 4
N_DRAFT = 3
MASKED = 3
LANES = (
    (SamplingParams(temperature=0.8, top_k=40, top_p=0.95, seed=1), -1),
    (SamplingParams(temperature=0), -1),
    (SamplingParams(temperature=1.5, top_k=0, seed=2), 20),
    (SamplingParams(temperature=0), 5),
    (SamplingParams(temperature=0.9, top_k=0, repeat_penalty=1.3, seed=3), -1),
    (SamplingParams(temperature=1.2, mirostat=2, seed=4), 0),
    (SamplingParams(temperature=0.7, top_k=40, seed=1), -1),
)
"""How each lane's tokens are chosen, and its likeliest tokens with logprobs."""
Want = Literal["sample", "logits"]
Output = tuple[int, int, int, bytes, list[int], list[float], list[bytes]]


def _outputs(session: Session) -> Iterator[Output]:
    """Of one step, everything that was said of each row."""
    lanes, tokens, ends, text_offsets = session.result
    offsets, items, values, piece_offsets, pieces = session.logprobs
    for i in range(session.n_outputs):
        if tokens[i] < 0:
            continue
        of_row = range(offsets[i], offsets[i + 1])
        yield (
            lanes[i],
            tokens[i],
            ends[i],
            session.text[text_offsets[i] : text_offsets[i + 1]],
            [items[j] for j in of_row],
            [values[j] for j in of_row],
            [pieces[piece_offsets[j] : piece_offsets[j + 1]] for j in of_row],
        )


def _open(sides: Sides, *, n_drafts: int = 0) -> SessionPlayer:
    n_lanes = len(LANES)
    session = Session(
        sides.model, n_ctx=512, n_lanes=n_lanes, n_batch=256, n_threads=2, n_drafts=n_drafts
    )
    player = SessionPlayer(session)
    for lane, (sampling, n_logprobs) in enumerate(LANES):
        player.open_lane(lane, sampling, n_logprobs=n_logprobs)
    return player


def _play(sides: Sides, tokens: Sequence[int], sampled: Sequence[int]) -> list[Output]:
    """Prompts that end in one chunk, then steps with given tokens; `sampled` lanes choose."""
    player = _open(sides)
    wants: list[Want] = ["sample" if lane in sampled else "logits" for lane in range(len(LANES))]
    chunk = [
        Row(lane, pos, tokens[lane + pos], wants[lane] if pos == N_DRAFT else "-")
        for lane in range(len(LANES))
        for pos in range(N_DRAFT + 1)
    ]
    player.play_step(Step(chunk=chunk))
    outputs = list(_outputs(player.session))
    for i_step in range(N_STEPS):
        pos = N_DRAFT + 1 + i_step
        running = [Row(lane, pos, tokens[lane + pos], want) for lane, want in enumerate(wants)]
        player.play_step(Step(running=running))
        outputs += _outputs(player.session)
    return outputs


@on_models([QWEN2])
def test_lanes_that_choose_at_once_choose_as_each_alone(
    sides: Sides, draw_tokens: Callable[..., list[int]]
) -> None:
    tokens = draw_tokens(40)
    every = range(len(LANES))
    together = _play(sides, tokens, every)
    assert [each[0] for each in together] == [*every] * (1 + N_STEPS)
    for lane in every:
        assert _play(sides, tokens, [lane]) == [each for each in together if each[0] == lane]


@on_models([QWEN2])
def test_drafts_of_lanes_that_choose_at_once_end_at_their_own_first_wrong_guess(
    sides: Sides, draw_tokens: Callable[..., list[int]]
) -> None:
    forced = draw_tokens(len(LANES) * (N_DRAFT + 1))  # by a mask of its own for each row
    player = _open(sides, n_drafts=len(LANES) * N_DRAFT)
    session = player.session
    n_right = [lane % (N_DRAFT + 1) for lane in range(len(LANES))]
    tokens, positions, lanes, outputs = session.plan
    for i, token in enumerate(forced):
        lane, position = divmod(i, N_DRAFT + 1)
        guess = forced[i - 1] if position <= n_right[lane] else forced[i - 1] + 1
        tokens[i], positions[i], lanes[i], outputs[i] = guess, position, lane, MASKED
        _allow_only(session, i, token)
    assert session.step(len(forced), 0) == 0
    said = list(_outputs(session))
    for lane, n in enumerate(n_right):
        first = lane * (N_DRAFT + 1)
        chosen = [each[1] for each in said if each[0] == lane]
        assert chosen == forced[first : first + n + 1]
        assert session.lane_length(lane) == n + 1
    assert [each[0] for each in said] == sorted(each[0] for each in said)


@on_models([QWEN2, GPT2_SMALL])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingParams(temperature=0),
        SamplingParams(temperature=1e-5, top_k=3, seed=1),
        SamplingParams(temperature=1e-5, top_k=0, top_p=1.0, min_p=0.0, seed=1),
    ],
    ids=["argmax", "top-k", "all"],
)
def test_masked_choice_is_the_best_of_what_may_come(
    sides: Sides,
    draw_tokens: Callable[..., list[int]],
    sampling: SamplingParams,
    share: float,
) -> None:
    n_vocab = sides.model.n_vocab
    rng = random.Random(share)
    biases = {rng.randrange(n_vocab): rng.uniform(-8.0, 8.0) for _ in range(n_vocab // 50)}
    player = SessionPlayer(Session(sides.model, n_ctx=256, n_lanes=1, n_batch=32, n_threads=1))
    player.open_lane(0, replace(sampling, logit_bias=tuple(biases.items())))
    session = player.session
    for i, token in enumerate(draw_tokens(N_STEPS)):
        tokens, positions, lanes, outputs = session.plan
        tokens[0], positions[0], lanes[0], outputs[0] = token, i, 0, MASKED
        n = round(share * n_vocab)
        allowed = {0, n_vocab - 1, *rng.sample(range(n_vocab), n)}
        beyond = range(n_vocab, 32 * session.n_mask_words)
        _allow(session, 0, [*allowed, *beyond])
        assert session.step(1, 0) == 0
        chosen = session.result[1][0]
        row = session.logits(0)
        scores = {token: row[token] + biases.get(token, 0.0) for token in allowed}
        row.release()
        assert chosen in allowed
        assert scores[chosen] == pytest.approx(max(scores.values()), abs=1e-4)


@on_models([QWEN2, GPT2_SMALL])
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_nothing_is_chosen_where_nothing_may_come(sides: Sides, temperature: float) -> None:
    banned = sides.model.n_vocab - 1
    sampling = SamplingParams(temperature=temperature, seed=1, logit_bias=((banned, -math.inf),))
    player = SessionPlayer(Session(sides.model, n_ctx=256, n_lanes=1, n_batch=32, n_threads=1))
    player.open_lane(0, sampling)
    session = player.session
    for i, allowed in enumerate([[], [banned]]):
        tokens, positions, lanes, outputs = session.plan
        tokens[0], positions[0], lanes[0], outputs[0] = 300, i, 0, MASKED
        _allow(session, 0, allowed)
        assert session.step(1, 0) == 0
        assert session.result[1][0] == -1


def _allow_only(session: Session, i_mask: int, token: int) -> None:
    _allow(session, i_mask, [token])


def _allow(session: Session, i_mask: int, allowed: Collection[int]) -> None:
    words = array("I", [0]) * session.n_mask_words
    for token in allowed:
        words[token // 32] |= 1 << token % 32
    start = i_mask * session.n_mask_words
    session.masks[start : start + session.n_mask_words] = memoryview(words).cast("B").cast("i")
