"""Drafts: whatever they guess, the answer is the one without them, and nothing of them stays."""

import dataclasses
import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from support.model_cases import LLAMA_BPE, LLAMA_SPM, MAMBA
from support.reference import Reference
from support.sides import Sides, on_models
from support.talks import EqualCosts

from pyrunner import Engine
from pyrunner._native import Model
from pyrunner.chat.grammar import Grammars
from pyrunner.config import EngineConfig
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.request import Errored, Finished, GenerationRequest, Text
from pyrunner.engine.speculation import Speculation
from pyrunner.types import Limits, OutputFormat, OutputKind, SamplingParams, Usage

pytestmark = [pytest.mark.native, pytest.mark.model]

LARGEST_GAP = 0.1
"""Logits between a token and the favourite of llama.cpp where step shapes differ."""
CONFIG = EngineConfig(n_ctx=1024, n_lanes=4, n_batch=128, n_threads=1)
GREEDY = SamplingParams(temperature=0)
_FORCED = "of all the names that there are the first or "


class _Talk:
    """A loop that drafts whatever it can, and what came out of it."""

    def __init__(self, model: Model, config: EngineConfig = CONFIG) -> None:
        self.loop = EngineLoop(model, config)
        if self.loop._speculation is not None:
            self.loop._speculation._costs = EqualCosts()
        self.tokens: dict[int, list[int]] = {}
        self.text: dict[int, str] = {}
        self.usage: dict[int, Usage] = {}
        self.n_steps = 0

    def ask(self, *requests: GenerationRequest) -> None:
        for request in requests:
            self.loop.submit(request)
        while self.loop.has_work:
            self._take(self.loop.step())
            self.n_steps += 1
            self.loop._lanes.check()

    def _take(self, events: Iterable[Text | Finished | Errored]) -> None:
        for event in events:
            assert not isinstance(event, Errored)
            if event.token is not None:
                self.tokens.setdefault(event.request_id, []).append(event.token)
            self.text[event.request_id] = self.text.get(event.request_id, "") + event.text
            if isinstance(event, Finished):
                assert event.request_id not in self.usage
                self.usage[event.request_id] = event.finish.usage


def _draw(n_tokens: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(260, 30000) for _ in range(n_tokens)]


def _request(request_id: int, prompt: Sequence[int], **changes: object) -> GenerationRequest:
    request = GenerationRequest(
        request_id=request_id,
        tokens=prompt,
        sampling=GREEDY,
        limits=Limits(max_tokens=48, ignore_eos=True),
    )
    return replace(request, **changes)


def _judge(reference: Reference, prompt: Sequence[int], tokens: Sequence[int]) -> None:
    scores = reference.score(list(prompt), list(tokens), n_batch=1024)
    assert max(score.gap for score in scores) <= LARGEST_GAP


def _plain(model: Model, request: GenerationRequest) -> list[int]:
    talk = _Talk(model, dataclasses.replace(CONFIG, speculation="off"))
    talk.ask(request)
    assert talk.n_steps >= len(talk.tokens[request.request_id])
    return talk.tokens[request.request_id]


@on_models([LLAMA_BPE, LLAMA_SPM])
@pytest.mark.parametrize("n_prompt", [20, 650])
def test_a_prediction_that_is_right_is_said_in_fewer_steps(sides: Sides, n_prompt: int) -> None:
    request = _request(1, _draw(n_prompt, seed=1))
    answer = _plain(sides.model, request)
    talk = _Talk(sides.model)
    talk.ask(replace(request, prediction=answer))
    assert len(talk.tokens[1]) == 48
    _judge(sides.reference, request.tokens, talk.tokens[1])
    n_prompt_steps = -(-n_prompt // 128)
    assert talk.n_steps < n_prompt_steps + 24
    assert talk.usage[1].accepted_prediction_tokens > 24


@on_models([LLAMA_BPE])
def test_what_stood_behind_the_same_tokens_is_said_in_fewer_steps(sides: Sides) -> None:
    # Of so few tokens the favourite repeats itself before long.
    few = tuple((token, 100.0) for token in range(300, 304))
    sampling = SamplingParams(temperature=0, logit_bias=few)
    request = _request(1, _draw(20, seed=6), sampling=sampling)
    answer = _plain(sides.model, request)
    talk = _Talk(sides.model)
    talk.ask(request)
    assert talk.tokens[1] == answer
    assert talk.n_steps < len(answer)


@on_models([LLAMA_BPE])
def test_a_prediction_that_is_wrong_everywhere_changes_nothing(sides: Sides) -> None:
    request = _request(1, _draw(650, seed=2))
    talk = _Talk(sides.model)
    talk.ask(replace(request, prediction=_draw(48, seed=99)))
    _judge(sides.reference, request.tokens, talk.tokens[1])
    assert len(talk.tokens[1]) == 48 == talk.usage[1].completion_tokens
    assert talk.usage[1].accepted_prediction_tokens == 0
    assert talk.usage[1].rejected_prediction_tokens > 0


@on_models([LLAMA_BPE])
def test_many_lanes_some_with_drafts_and_some_still_reading(sides: Sides) -> None:
    requests = [_request(i, _draw(40 + 160 * i, seed=10 + i)) for i in range(4)]
    answers = [_plain(sides.model, each) for each in requests]
    talk = _Talk(sides.model)
    talk.ask(
        requests[0],
        replace(requests[1], prediction=answers[1]),
        replace(requests[2], prediction=[*answers[2][:20], 5, *answers[2][21:]]),
        requests[3],
    )
    for request in requests:
        _judge(sides.reference, request.tokens, talk.tokens[request.request_id])
    assert talk.usage[2].rejected_prediction_tokens > 0


@on_models([LLAMA_BPE])
def test_sampling_with_a_seed_draws_the_same_numbers(sides: Sides) -> None:
    # Shapes move the borders between tokens a little; between forty there are few to hit.
    sampling = SamplingParams(temperature=1.5, top_k=40, top_p=1, min_p=0, seed=7)
    request = _request(1, _draw(20, seed=3), sampling=sampling, limits=Limits(max_tokens=24))
    answer = _plain(sides.model, request)
    talk = _Talk(sides.model)
    talk.ask(replace(request, prediction=[*answer[:10], 4, *answer[11:]]))
    assert talk.tokens[1] == answer
    assert talk.n_steps < len(answer)


@on_models([LLAMA_BPE])
def test_an_answer_ends_inside_a_draft_where_it_would_without(sides: Sides) -> None:
    request = _request(1, _draw(20, seed=4))
    answer = _plain(sides.model, request)
    for n_tokens in (1, 2, 5, 17):
        talk = _Talk(sides.model)
        talk.ask(replace(request, prediction=answer, limits=Limits(max_tokens=n_tokens)))
        assert talk.tokens[1] == answer[:n_tokens]
        assert talk.usage[1].completion_tokens == n_tokens


@on_models([LLAMA_BPE])
def test_a_stop_string_inside_a_draft_ends_the_answer(sides: Sides) -> None:
    request = _request(1, _draw(20, seed=5))
    whole = _Talk(sides.model, dataclasses.replace(CONFIG, speculation="off"))
    whole.ask(request)
    stop = whole.text[1][30:36]
    expected = whole.text[1].split(stop)[0]
    talk = _Talk(sides.model)
    limits = Limits(max_tokens=48, ignore_eos=True, stop=(stop,))
    talk.ask(replace(request, prediction=whole.tokens[1], limits=limits))
    assert talk.text[1] == expected


@on_models([LLAMA_BPE])
def test_a_lane_that_is_full_ends_in_its_last_cell(sides: Sides) -> None:
    prompt = _draw(1000, seed=6)
    request = _request(1, prompt, limits=Limits(ignore_eos=True))
    answer = _plain(sides.model, request)
    assert len(answer) == 24
    talk = _Talk(sides.model)
    talk.ask(replace(request, prediction=answer * 2))
    assert len(talk.tokens[1]) == 24
    _judge(sides.reference, prompt, talk.tokens[1])


@on_models([LLAMA_BPE])
def test_the_cells_behind_a_draft_are_those_of_the_answer(sides: Sides) -> None:
    request = _request(1, _draw(650, seed=7))
    answer = _plain(sides.model, request)
    talk = _Talk(sides.model)
    talk.ask(replace(request, prediction=[*answer[:9], 3, *answer[10:]]))
    again = _request(2, [*request.tokens, *talk.tokens[1], *_draw(5, seed=8)])
    talk.ask(again)
    assert talk.usage[2].cached_tokens >= 650 + 47
    _judge(sides.reference, again.tokens, talk.tokens[2])


@on_models([MAMBA])
def test_memory_that_cannot_go_back_is_never_given_a_draft(sides: Sides) -> None:
    request = _request(1, _draw(100, seed=9))
    answer = _plain(sides.model, request)
    talk = _Talk(sides.model)
    talk.ask(replace(request, prediction=answer))
    assert talk.tokens[1] == answer
    assert talk.usage[1].accepted_prediction_tokens == 0


@on_models([LLAMA_SPM])
@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 2.0, "top_k": 1},
        {"temperature": 2.0, "top_p": 0.01, "min_p": 0.9, "typical_p": 0.01, "top_n_sigma": 0.01},
        {"temperature": 2.0, "xtc_probability": 1.0, "xtc_threshold": 0.0},
        {"temperature": 1.0, "mirostat": 2},
        {"repeat_penalty": 10.0, "presence_penalty": 2.0, "dry_multiplier": 5.0},
    ],
)
def test_no_way_of_choosing_keeps_an_answer_from_what_is_forced(
    sides: Sides, changes: dict[str, Any]
) -> None:
    output = OutputFormat(kind=OutputKind.REGEX, text=f"{_FORCED}[ab]{{3}}", param="regex")
    constraint = Grammars(sides.model).constraint(output)
    biases = tuple((token, -100.0) for token in set(constraint.forced()))
    sampling = replace(GREEDY, logit_bias=biases, **changes)
    talk = _Talk(sides.model, dataclasses.replace(CONFIG, speculation="off"))
    talk.ask(_request(1, _draw(10, seed=15), constraint=constraint, sampling=sampling))
    assert talk.text[1].startswith(_FORCED)
    assert talk.n_steps < len(talk.tokens[1])


@on_models([LLAMA_SPM])
def test_a_constrained_answer_is_the_same_with_drafts(sides: Sides) -> None:
    names = ["the_first_of_all_names", "the_second_of_all_names"]
    schema = {
        "type": "object",
        "properties": dict(
            zip(
                names,
                ({"type": "string", "maxLength": 8}, {"enum": ["long enough to be forced", 3]}),
                strict=True,
            )
        ),
        "required": names,
        "additionalProperties": False,
    }
    output = OutputFormat(kind=OutputKind.JSON_SCHEMA, text=json.dumps(schema), param="schema")
    grammars = Grammars(sides.model)
    request = _request(1, _draw(30, seed=11), limits=Limits(max_tokens=200))
    plain = _Talk(sides.model, dataclasses.replace(CONFIG, speculation="off"))
    plain.ask(replace(request, constraint=grammars.constraint(output)))
    drafted = _Talk(sides.model)
    drafted.ask(replace(request, constraint=grammars.constraint(output)))
    assert drafted.text[1] == plain.text[1]
    assert list(json.loads(drafted.text[1])) == names
    # What the schema leaves no choice about is no guess.
    assert plain.n_steps < len(plain.tokens[1]) * 0.6


@on_models([LLAMA_SPM])
def test_text_without_a_choice_comes_in_the_tokenizers_tokens(sides: Sides) -> None:
    output = OutputFormat(kind=OutputKind.REGEX, text=f"{_FORCED}[xy]", param="regex")
    constraint = Grammars(sides.model).constraint(output)
    forced = list(constraint.forced())
    behind_a_break = sides.model.tokenize("\n" + _FORCED, add_special=False)
    n_break = len(sides.model.tokenize("\n", add_special=False))
    assert forced == behind_a_break[n_break:][: len(forced)]
    assert len(forced) > 4
    ahead = constraint.masks_behind(forced)
    for i, token in enumerate(forced):
        assert _allowed(constraint.mask) == {token}
        assert list(constraint.forced()) == forced[i:]
        constraint.accept(token)
        assert bytes(ahead[i]) == bytes(constraint.mask)
    assert len(_allowed(constraint.mask)) > 1


def _allowed(mask: memoryview) -> set[int]:
    bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")
    return {int(token) for token in np.flatnonzero(bits)}


@on_models([LLAMA_SPM])
def test_looking_ahead_in_a_grammar_leaves_it_where_it_is(sides: Sides) -> None:
    output = OutputFormat(kind=OutputKind.REGEX, text="[ab]{4}", param="regex")
    constraint = Grammars(sides.model).constraint(output)
    of_text = {sides.model.detokenize([token]): token for token in range(sides.model.n_vocab)}
    a, b, x = (of_text[text] for text in (b"a", b"b", b"x"))
    tokens = [a, b, b]
    before = bytes(constraint.mask)
    ahead = [bytes(mask) for mask in constraint.masks_behind([*tokens, x])]
    assert constraint.masks_behind([x, *tokens]) == []
    assert bytes(constraint.mask) == before
    behind = []
    for token in tokens:
        constraint.accept(token)
        behind.append(bytes(constraint.mask))
    assert ahead == behind


@on_models([LLAMA_SPM])
def test_a_prediction_against_the_grammar_is_not_read(sides: Sides) -> None:
    output = OutputFormat(kind=OutputKind.REGEX, text="[ab]{20}", param="regex")
    request = _request(
        1,
        _draw(30, seed=12),
        constraint=Grammars(sides.model).constraint(output),
        prediction=sides.model.tokenize("xyz" * 10, add_special=False),
    )
    talk = _Talk(sides.model)
    talk.ask(request)
    assert len(talk.text[1]) == 20
    assert set(talk.text[1]) <= {"a", "b"}
    assert talk.usage[1].accepted_prediction_tokens == 0


@on_models([LLAMA_BPE])
def test_logprobs_come_for_every_token_of_a_draft(sides: Sides) -> None:
    request = _request(1, _draw(20, seed=13), n_logprobs=3)
    answer = _plain(sides.model, request)
    talk = _Talk(sides.model)
    traced: list[int] = []
    talk.loop.submit(replace(request, prediction=answer))
    while talk.loop.has_work:
        for event in talk.loop.step():
            assert not isinstance(event, Errored)
            assert event.traced is not None
            traced.append(event.traced.logprobs.chosen.token)
    assert traced == answer


def test_the_library_takes_a_prediction(engine: Engine) -> None:
    prompt = _draw(20, seed=14)
    plain = list(engine.generate(prompt, sampling=GREEDY, limits=Limits(max_tokens=8)))
    drafted = list(
        engine.generate(prompt, sampling=GREEDY, limits=Limits(max_tokens=8), prediction="one two")
    )
    assert [getattr(each, "text", "") for each in drafted] == [
        getattr(each, "text", "") for each in plain
    ]


def test_a_speculation_that_knows_no_costs_drafts_nothing() -> None:
    assert Speculation().drafts({}, 1) == {}
