"""Sequences that give their lanes up, and lanes made longer: over a real model."""

import dataclasses
import random
from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace
from support.model_cases import GEMMA3, LLAMA_BPE, MAMBA
from support.sides import Sides, on_models

from pyrunner._native import Model
from pyrunner.config import EngineConfig
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.request import Errored, Finished, GenerationRequest
from pyrunner.engine.sequence import Sequence as Running
from pyrunner.errors import ContextLengthError
from pyrunner.types import Limits, SamplingParams

pytestmark = [pytest.mark.native, pytest.mark.model]

LARGEST_GAP = 0.1
"""Logits between a token and the favourite of llama.cpp where step shapes differ."""
CONFIG = EngineConfig(n_ctx=1024, n_lanes=4, n_batch=128, n_threads=1)
GREEDY = SamplingParams(temperature=0)


def _draw(n_tokens: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(260, 30000) for _ in range(n_tokens)]


def _request(
    request_id: int,
    n_prompt: int,
    *,
    sampling: SamplingParams = GREEDY,
    max_tokens: int = 12,
    priority: int = 0,
) -> GenerationRequest:
    return GenerationRequest(
        request_id=request_id,
        tokens=_draw(n_prompt, request_id),
        sampling=sampling,
        limits=Limits(max_tokens=max_tokens, ignore_eos=True),
        priority=priority,
    )


class _Run:
    """A loop and what came out of it, text and tokens."""

    def __init__(self, model: Model, config: EngineConfig = CONFIG) -> None:
        self.loop = EngineLoop(model, config)
        self.tokens: dict[int, list[int]] = {}
        self.text: dict[int, str] = {}
        self.layouts: set[tuple[int, int]] = set()

    def submit(self, *requests: GenerationRequest) -> None:
        for request in requests:
            self.tokens[request.request_id] = []
            self.text[request.request_id] = ""
            self.loop.submit(request)

    def step(self, n_steps: int = 1) -> None:
        for _ in range(n_steps):
            for event in self.loop.step():
                assert not isinstance(event, Errored), event
                self.text[event.request_id] += event.text
                if event.token is not None:
                    self.tokens[event.request_id].append(event.token)
                if isinstance(event, Finished):
                    n_tokens = event.finish.usage.completion_tokens
                    assert n_tokens == len(self.tokens[event.request_id])
            self.layouts.add((self.loop.info.n_lanes, self.loop.info.n_ctx))
            self.loop._lanes.check()

    def finish(self) -> None:
        while self.loop.has_work:
            self.step()


def _alone(model: Model, config: EngineConfig, request: GenerationRequest) -> tuple[list[int], str]:
    run = _Run(model, config)
    run.submit(request)
    run.finish()
    return run.tokens[request.request_id], run.text[request.request_id]


def _check_gaps(
    sides: Sides, requests: Sequence[GenerationRequest], tokens: Mapping[int, list[int]]
) -> None:
    for request in requests:
        answer = tokens[request.request_id]
        assert len(answer) == request.limits.max_tokens
        n_batch = len(request.tokens) + len(answer)
        scores = sides.reference.score(list(request.tokens), answer, n_batch=n_batch)
        assert max(score.gap for score in scores) <= LARGEST_GAP


SEEDED = SamplingParams(seed=4, temperature=1.2, repeat_penalty=1.3)


@pytest.mark.parametrize("n_steps", [3, 12], ids=["while it is read", "while it answers"])
@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
@on_models([LLAMA_BPE, GEMMA3, MAMBA])
def test_a_preempted_sequence_says_what_it_says_undisturbed(
    sides: Sides, sampling: SamplingParams, n_steps: int
) -> None:
    config = dataclasses.replace(CONFIG, n_lanes=1)
    low = _request(1, 700, sampling=sampling, max_tokens=20)
    high = _request(2, 650, priority=1)
    expected = _alone(sides.model, config, low)
    run = _Run(sides.model, config)
    run.submit(low)
    run.step(n_steps)
    run.submit(high)
    run.step()
    assert (run.loop.n_running, run.loop.n_waiting) == (1, 1)
    run.finish()
    assert (run.tokens[1], run.text[1]) == expected
    assert run.tokens[2] == _alone(sides.model, config, high)[0]


@on_models([LLAMA_BPE, GEMMA3])
def test_a_sequence_that_outgrows_its_lane_says_what_it_says_in_a_long_one(sides: Sides) -> None:
    request = _request(1, 1000, sampling=SEEDED, max_tokens=40)
    expected = _alone(sides.model, dataclasses.replace(CONFIG, n_lanes=1, n_ctx=2048), request)
    run = _Run(sides.model, dataclasses.replace(CONFIG, n_lanes=2))
    run.submit(request)
    run.finish()
    assert run.layouts == {(2, 1024), (1, 2048)}
    assert (run.tokens[1], run.text[1]) == expected


@on_models([LLAMA_BPE, GEMMA3, MAMBA])
def test_contexts_of_three_times_the_memory_with_a_long_one_all_get_their_answers(
    sides: Sides,
) -> None:
    """Row 6 of the race: 12 requests, one of them longer than a lane."""
    lengths = (900, 620, 950, 700, 1900, 640, 800, 990, 700, 610, 900, 800)
    requests = [_request(i, n_prompt, max_tokens=10 + i) for i, n_prompt in enumerate(lengths)]
    config = dataclasses.replace(CONFIG, n_lanes=3)
    assert sum(lengths) > 3 * config.n_lanes * config.n_ctx
    run = _Run(sides.model, config)
    run.submit(*requests[:3])
    run.step(30)
    run.submit(*requests[3:])
    run.finish()
    assert {n_lanes for n_lanes, _ in run.layouts} == {3, 1}
    _check_gaps(sides, requests, run.tokens)


@on_models([LLAMA_BPE])
def test_what_is_parked_is_found_again_in_another_layout(sides: Sides) -> None:
    run = _Run(sides.model, dataclasses.replace(CONFIG, n_lanes=2, cache_bytes=2**28))
    first, long = _request(1, 700), _request(2, 1500)
    run.submit(first)
    run.finish()
    run.submit(long)
    run.finish()
    again = replace(_request(3, 0), tokens=[*first.tokens, *run.tokens[1], 77, 78])
    run.submit(again)
    [sequence] = _started(run)
    assert sequence.n_cached == 700 + 12 - 1
    run.finish()
    _check_gaps(sides, [again], run.tokens)


def _started(run: _Run) -> list[Running]:
    run.step()
    return list(run.loop._lanes.sequences.values())


@on_models([LLAMA_BPE])
def test_the_longest_context_is_that_of_all_lanes_and_of_the_model(sides: Sides) -> None:
    n_ctx_train = sides.model.n_ctx_train
    loop = EngineLoop(sides.model, dataclasses.replace(CONFIG, n_lanes=2))
    assert loop.info.n_ctx_max == min(2048, n_ctx_train)
    with pytest.raises(ContextLengthError) as caught:
        loop.submit(_request(1, loop.info.n_ctx_max))
    assert caught.value.n_ctx == loop.info.n_ctx_max
