"""The engine's own steps: requests that join and leave, and prompts read beside streams."""

from collections.abc import Callable, Sequence

import pytest
from support.model_cases import GEMMA3, GENERATIVE, LLAMA_BPE, LLAMA_SPM, QWEN2
from support.reference import ContextShape
from support.reference_loop import Planned, ReferenceLoop
from support.sides import Sides, on_models

from pyrunner.config import EngineConfig
from pyrunner.engine.loading import N_BATCH_PLAIN, n_twice
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.request import Finished, GenerationRequest, StepEvent
from pyrunner.engine.scheduler import N_CHUNK_SHARED
from pyrunner.engine.snapshots import BLOCK
from pyrunner.types import Limits, SamplingParams

pytestmark = [pytest.mark.native, pytest.mark.model]

Draw = Callable[..., list[int]]
GREEDY = SamplingParams(temperature=0)
LARGEST_GAP = 0.1
"""Logits between a token and the favourite of llama.cpp where step shapes differ."""


def _run_engine(
    loop: EngineLoop, requests: Sequence[Planned], *, order: list[int] | None = None
) -> dict[int, list[int]]:
    """Submit each request before the step it arrives at; the tokens of each.

    `order` gets the request of every token, as they came.
    """
    to_come = sorted(requests, key=lambda each: each.arrives_at)
    events: list[StepEvent] = []
    i_step = 0
    while to_come or loop.has_work:
        while to_come and to_come[0].arrives_at <= i_step:
            each = to_come.pop(0)
            loop.submit(
                GenerationRequest(
                    request_id=each.request_id,
                    tokens=each.prompt,
                    sampling=each.sampling,
                    limits=Limits(max_tokens=each.n_predict, ignore_eos=True),
                )
            )
        events += loop.step()
        i_step += 1
    assert sum(isinstance(event, Finished) for event in events) == len(requests)
    tokens: dict[int, list[int]] = {each.request_id: [] for each in requests}
    for event in events:
        token = getattr(event, "token", None)
        if token is not None:
            tokens[event.request_id].append(token)
            if order is not None:
                order.append(event.request_id)
    return tokens


def _run_both(
    sides: Sides, requests: Sequence[Planned], *, n_lanes: int, n_batch: int
) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    n_batch = min(n_batch, N_BATCH_PLAIN)
    shape = ContextShape(
        n_ctx=1024, n_lanes=n_lanes, n_batch=n_batch, n_threads=1, flash_attention=0
    )
    config = EngineConfig(
        n_ctx=1024, n_lanes=n_lanes, n_batch=n_batch, n_threads=1, speculation="off"
    )
    loop = EngineLoop(sides.model, config)
    reference = ReferenceLoop(
        sides.reference,
        shape,
        n_chunk_shared=min(N_CHUNK_SHARED, n_batch),
        n_twice=n_twice(sides.model),
        n_block=0 if loop.session.drops_tails else BLOCK,
    )
    return _run_engine(loop, requests), reference.run(requests)


@pytest.mark.parametrize("sampling", [GREEDY, SamplingParams(seed=4)], ids=["greedy", "seeded"])
@on_models(GENERATIVE)
def test_engine_with_one_request_equals_reference(
    sides: Sides, sampling: SamplingParams, draw_tokens: Draw
) -> None:
    request = Planned(request_id=1, prompt=draw_tokens(650), sampling=sampling, n_predict=20)
    ours, theirs = _run_both(sides, [request], n_lanes=4, n_batch=256)
    assert len(ours[1]) == 20
    assert ours == theirs


@on_models(GENERATIVE)
def test_engine_with_eight_requests_at_once_equals_reference(
    sides: Sides, draw_tokens: Draw
) -> None:
    requests = [
        Planned(
            request_id=i,
            prompt=draw_tokens(length),
            sampling=GREEDY if i % 2 else SamplingParams(seed=i, repeat_penalty=1.2),
            n_predict=12,
        )
        for i, length in enumerate((20, 610, 5, 90, 33, 1, 140, 64))
    ]
    ours, theirs = _run_both(sides, requests, n_lanes=8, n_batch=512)
    assert ours == theirs


@pytest.mark.parametrize("seed", range(3))
@on_models([QWEN2, GEMMA3])
def test_engine_with_requests_that_come_and_go_equals_reference(
    sides: Sides, seed: int, draw_tokens: Draw
) -> None:
    """Lanes run out, holes appear and are closed, prompts are read beside streams."""
    lengths = draw_tokens(14, seed=seed)
    requests = [
        Planned(
            request_id=i,
            prompt=draw_tokens(1 + number % (640 if i == 3 else 200), seed=i),
            sampling=SamplingParams(seed=i),
            n_predict=1 + number % 23,
            arrives_at=i * 3 + number % 5,
        )
        for i, number in enumerate(lengths)
    ]
    ours, theirs = _run_both(sides, requests, n_lanes=4, n_batch=128)
    assert ours == theirs


@on_models([LLAMA_SPM])
def test_the_shorter_prompt_is_still_read_first_after_the_lane_of_the_longer_moved(
    sides: Sides, draw_tokens: Draw
) -> None:
    """Requests 0 and 1 stream while 2 is read; 3 takes the lane of 0; 2 moves to that of 1."""
    requests = [
        Planned(request_id=0, prompt=draw_tokens(5), sampling=GREEDY, n_predict=3),
        Planned(request_id=1, prompt=draw_tokens(6), sampling=GREEDY, n_predict=5),
        Planned(request_id=2, prompt=draw_tokens(600), sampling=GREEDY, n_predict=4, arrives_at=1),
        Planned(request_id=3, prompt=draw_tokens(300), sampling=GREEDY, n_predict=4, arrives_at=2),
    ]
    ours, theirs = _run_both(sides, requests, n_lanes=3, n_batch=128)
    assert ours == theirs
    order: list[int] = []
    config = EngineConfig(n_ctx=1024, n_lanes=3, n_batch=128, n_threads=1, speculation="off")
    _run_engine(EngineLoop(sides.model, config), requests, order=order)
    assert order.index(3) < order.index(2)


def _largest_gap(sides: Sides, config: EngineConfig, draw_tokens: Draw) -> float:
    """Let requests join and leave, then judge every token in one pass over its whole text."""
    requests = [
        Planned(
            request_id=i,
            prompt=draw_tokens(length, seed=i),
            sampling=GREEDY,
            n_predict=16 + 3 * i,
            arrives_at=4 * i,
        )
        for i, length in enumerate((700, 12, 350, 64, 200))
    ]
    tokens = _run_engine(EngineLoop(sides.model, config), requests)
    gaps = []
    for each in requests:
        scores = sides.reference.score(each.prompt, tokens[each.request_id], n_batch=1024)
        assert len(scores) == each.n_predict
        gaps += [score.gap for score in scores]
    return max(gaps)


@on_models(GENERATIVE)
def test_tokens_chosen_in_other_step_shapes_are_within_reach_of_the_favourite(
    sides: Sides, draw_tokens: Draw
) -> None:
    config = EngineConfig(n_ctx=1024, n_lanes=3, n_batch=48, n_threads=1, speculation="off")
    assert _largest_gap(sides, config, draw_tokens) <= LARGEST_GAP


@on_models([LLAMA_BPE])
def test_tokens_chosen_by_two_threads_are_within_reach_of_the_favourite_of_one(
    sides: Sides, draw_tokens: Draw
) -> None:
    config = EngineConfig(n_ctx=1024, n_lanes=3, n_batch=512, n_threads=2, speculation="off")
    assert _largest_gap(sides, config, draw_tokens) <= LARGEST_GAP


@on_models([LLAMA_SPM])
def test_score_condemns_a_token_nobody_would_choose(sides: Sides, draw_tokens: Draw) -> None:
    """The yardstick of the test above can say no."""
    prompt = draw_tokens(30)
    request = Planned(request_id=0, prompt=prompt, sampling=GREEDY, n_predict=8)
    config = EngineConfig(n_ctx=1024, n_lanes=1, n_threads=1, speculation="off")
    tokens = _run_engine(EngineLoop(sides.model, config), [request])[0]
    wrong = [*tokens[:4], (tokens[4] + 1) % 30000, *tokens[5:]]
    scores = sides.reference.score(prompt, wrong, n_batch=1024)
    assert max(score.gap for score in scores[:4]) <= LARGEST_GAP
    assert scores[4].gap > LARGEST_GAP
