"""Answers under a grammar, from a model that has no idea of it."""

import json
import os
import re
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from support.json_schema import conforms
from support.model_cases import LLAMA_SPM, ShippedCase

from pyrunner._native import Model
from pyrunner.chat.grammar import Grammars
from pyrunner.chat.matching import TokenConstraint
from pyrunner.config import EngineConfig
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.request import Errored, Finished, GenerationRequest, Text
from pyrunner.errors import InvalidParameterError
from pyrunner.types import FinishReason, Limits, OutputFormat, OutputKind, SamplingParams

GREEDY = SamplingParams(temperature=0)
WILD = SamplingParams(temperature=1.5, top_k=0, top_p=1, min_p=0)
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "kind": {"enum": ["cat", "dog", None, 3]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
        "home": {
            "type": "object",
            "properties": {"zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
            "required": ["zip"],
            "additionalProperties": False,
        },
        "size": {
            "anyOf": [
                {"const": "unknown"},
                {"type": "number", "multipleOf": 5, "minimum": 0, "maximum": 95},
            ]
        },
    },
    "required": ["name", "age", "kind", "tags", "home", "size"],
    "additionalProperties": False,
}
SAMPLINGS = [
    SamplingParams(seed=1),
    SamplingParams(temperature=2, top_k=0, top_p=1, min_p=0, seed=2),
    SamplingParams(temperature=1, repeat_penalty=1.3, seed=3),
    SamplingParams(temperature=0, frequency_penalty=1.0),
    SamplingParams(temperature=0, logit_bias=((90, 100.0),)),
    GREEDY,
]
"""Every way through csrc's samplers."""


@dataclass
class Answer:
    text: str = ""
    tokens: tuple[int, ...] = ()
    reason: FinishReason | None = None
    error: Exception | None = None


@pytest.fixture(scope="module")
def demo() -> Model:
    loaded = Model()
    assert loaded.load([os.fsencode(ShippedCase().file())]) == 0
    return loaded


@pytest.fixture(params=["random", "demo"])
def any_model(request: pytest.FixtureRequest, model: Model, demo: Model) -> Model:
    return model if request.param == "random" else demo


@cache
def _grammars(model: Model) -> Grammars:
    return Grammars(model)


def _constraint(
    model: Model, what: str | dict[str, Any], kind: OutputKind = OutputKind.JSON_SCHEMA
) -> TokenConstraint:
    text = what if isinstance(what, str) else json.dumps(what)
    return _grammars(model).constraint(OutputFormat(kind=kind, text=text))


def _request(request_id: int, model: Model, **rest: Any) -> GenerationRequest:
    tokens = model.tokenize(f"Tell me of number {request_id}: ")
    return GenerationRequest(
        request_id=request_id, tokens=tokens, **({"limits": Limits(max_tokens=300)} | rest)
    )


def _answers(loop: EngineLoop) -> dict[int, Answer]:
    answers: dict[int, Answer] = defaultdict(Answer)
    while loop.has_work:
        for event in loop.step():
            answer = answers[event.request_id]
            match event:
                case Text(text=text, token=token):
                    answer.text += text
                    answer.tokens += (token,)
                case Finished(text=text, token=token, finish=finish):
                    answer.text += text
                    answer.tokens += () if token is None else (token,)
                    answer.reason = finish.reason
                case Errored(error=error):
                    answer.error = error
    return answers


def test_every_sampler_keeps_to_the_schema_also_for_several_at_once(
    any_model: Model, config: EngineConfig
) -> None:
    loop = EngineLoop(any_model, config)
    for i, sampling in enumerate(SAMPLINGS * 2):  # three times as many as lanes
        constraint = _constraint(any_model, PERSON)
        loop.submit(_request(i, any_model, sampling=sampling, constraint=constraint))
    answers = _answers(loop)
    assert len(answers) == 12
    for answer in answers.values():
        assert answer.reason is FinishReason.STOP
        assert conforms(json.loads(answer.text), PERSON), answer.text


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": ["red", "green", "blue"]},
        {"type": "integer", "minimum": -5, "maximum": 12},
        {"type": "array", "items": {"type": "array", "items": {"type": "null"}}, "maxItems": 2},
        {"anyOf": [{"type": "boolean"}, {"type": "string", "maxLength": 3}]},
        {"type": "string", "minLength": 2, "maxLength": 4},
        {"type": ["integer", "null"], "maximum": 9, "minimum": 0},
    ],
    ids=lambda schema: next(iter(schema.values())) if "type" in schema else next(iter(schema)),
)
def test_every_seed_keeps_to_a_small_schema(
    model: Model, config: EngineConfig, schema: dict[str, Any]
) -> None:
    loop = EngineLoop(model, config)
    for seed in range(20):
        sampling = SamplingParams(temperature=2, top_k=0, top_p=1, min_p=0, seed=seed)
        constraint = _constraint(model, schema)
        loop.submit(
            _request(seed, model, sampling=sampling, constraint=constraint, limits=Limits())
        )
    found = [json.loads(answer.text) for answer in _answers(loop).values()]
    assert len(found) == 20
    assert all(conforms(each, schema) for each in found), found
    assert len({json.dumps(each) for each in found}) > 1


@pytest.mark.parametrize(
    ("kind", "what", "pattern"),
    [
        (OutputKind.REGEX, "[a-c]{3}-[0-9]{2}", "[a-c]{3}-[0-9]{2}"),
        (
            OutputKind.GRAMMAR,
            'root ::= word (" " word)?\nword ::= [x-z]+ "!"',
            "[x-z]+!( [x-z]+!)?",
        ),
        (OutputKind.GRAMMAR, 'start: "yes" | "no"', "yes|no"),
    ],
)
def test_regex_gbnf_and_lark_hold_for_the_whole_answer(
    model: Model, config: EngineConfig, kind: OutputKind, what: str, pattern: str
) -> None:
    loop = EngineLoop(model, config)
    for seed in range(4):
        sampling = SamplingParams(seed=seed)
        constraint = _constraint(model, what, kind)
        loop.submit(_request(seed, model, sampling=sampling, constraint=constraint))
    for answer in _answers(loop).values():
        assert answer.reason is FinishReason.STOP
        assert re.fullmatch(pattern, answer.text), answer.text


def test_a_free_answer_beside_a_constrained_one_is_the_same_as_alone(
    model: Model, config: EngineConfig
) -> None:
    alone = EngineLoop(model, config)
    free = _request(1, model, sampling=GREEDY, limits=Limits(max_tokens=40, ignore_eos=True))
    alone.submit(free)
    expected = _answers(alone)[1]

    together = EngineLoop(model, config)
    together.submit(free)
    constraint = _constraint(model, PERSON)
    together.submit(_request(2, model, sampling=WILD, constraint=constraint))
    answers = _answers(together)
    assert answers[1].tokens == expected.tokens
    assert conforms(json.loads(answers[2].text), PERSON)


class _Anything:
    """A constraint that allows every token."""

    def __init__(self, n_vocab: int) -> None:
        self.mask = memoryview(array("i", [-1]) * ((n_vocab + 31) // 32))
        self.is_complete = False
        self.accepted: list[int] = []

    def forced(self) -> list[int]:
        return []

    def masks_behind(self, draft: Sequence[int]) -> list[memoryview]:
        return [self.mask] * len(draft)

    def accept(self, token: int) -> None:
        self.accepted.append(token)


@pytest.mark.parametrize(
    "sampling",
    [GREEDY, SamplingParams(seed=5), SamplingParams(seed=5, top_k=0, repeat_penalty=1.2)],
)
def test_a_mask_of_all_tokens_changes_nothing(
    model: Model, config: EngineConfig, sampling: SamplingParams
) -> None:
    limits = Limits(max_tokens=60, ignore_eos=True)
    loop = EngineLoop(model, config)
    loop.submit(_request(1, model, sampling=sampling, limits=limits))
    free = _answers(loop)[1]
    anything = _Anything(model.n_vocab)
    loop = EngineLoop(model, config)
    loop.submit(_request(1, model, sampling=sampling, limits=limits, constraint=anything))
    masked = _answers(loop)[1]
    assert masked == free
    assert len(masked.tokens) == 60
    assert anything.accepted == list(masked.tokens)


def test_a_mask_of_one_token_leaves_no_choice(model: Model, config: EngineConfig) -> None:
    only = model.n_vocab - 300  # in the last, incomplete block of the argmax
    for sampling in (GREEDY, WILD, SamplingParams(seed=1)):
        anything = _Anything(model.n_vocab)
        words = array("i", bytes(len(anything.mask) * 4))
        words[only // 32] = (1 << (only % 32)) - ((1 << 32) if only % 32 == 31 else 0)
        anything.mask = memoryview(words)
        loop = EngineLoop(model, config)
        limits = Limits(max_tokens=3)
        loop.submit(_request(1, model, sampling=sampling, constraint=anything, limits=limits))
        assert _answers(loop)[1].tokens == (only, only, only)


@pytest.mark.parametrize("sampling", [GREEDY, WILD, SamplingParams(seed=1)])
def test_a_mask_of_no_token_fails_the_request_alone(
    model: Model, config: EngineConfig, sampling: SamplingParams
) -> None:
    stuck = _constraint(model, {"type": "object"})
    stuck.mask = memoryview(bytes(len(stuck.mask) * 4)).cast("i")
    loop = EngineLoop(model, config)
    loop.submit(_request(1, model, sampling=sampling, constraint=stuck))
    loop.submit(_request(2, model, sampling=GREEDY, limits=Limits(max_tokens=5, ignore_eos=True)))
    answers = _answers(loop)
    assert isinstance(answers[1].error, InvalidParameterError)
    assert answers[1].error.param == "response_format"
    assert answers[1].text == ""
    assert answers[2].reason is FinishReason.LENGTH
    assert loop.n_running == 0


def test_token_limit_ends_an_answer_in_the_middle(model: Model, config: EngineConfig) -> None:
    loop = EngineLoop(model, config)
    constraint = _constraint(model, PERSON)
    loop.submit(_request(1, model, constraint=constraint, limits=Limits(max_tokens=4)))
    answer = _answers(loop)[1]
    assert answer.reason is FinishReason.LENGTH
    assert len(answer.tokens) == 4
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.text)


def test_stop_string_ends_an_answer_in_the_middle(model: Model, config: EngineConfig) -> None:
    loop = EngineLoop(model, config)
    limits = Limits(max_tokens=300, stop=('"age"',))
    loop.submit(_request(1, model, constraint=_constraint(model, PERSON), limits=limits))
    answer = _answers(loop)[1]
    assert answer.reason is FinishReason.STOP
    assert answer.text.startswith("{")
    assert '"age"' not in answer.text


def test_answer_is_not_over_before_the_grammar_is(model: Model, config: EngineConfig) -> None:
    """Ends of generation are the likeliest tokens here, and still come only where they may."""
    ends = tuple((token, 100.0) for token in model.end_of_generation_tokens)
    loop = EngineLoop(model, config)
    for request_id in range(4):
        sampling = SamplingParams(seed=request_id, logit_bias=ends)
        constraint = _constraint(model, "a{5}b*", OutputKind.REGEX)
        loop.submit(_request(request_id, model, sampling=sampling, constraint=constraint))
    for answer in _answers(loop).values():
        assert re.fullmatch("a{5}b*", answer.text)
        assert answer.reason is FinishReason.STOP


def test_cancelled_and_interrupted_ones_leave_the_others_alone(
    model: Model, config: EngineConfig
) -> None:
    loop = EngineLoop(model, config)
    for request_id in range(4):
        constraint = _constraint(model, PERSON)
        loop.submit(
            _request(request_id, model, sampling=SamplingParams(seed=1), constraint=constraint)
        )
    loop.interrupt()  # the first chunk, whose masks are written then and again
    loop.step()
    for _ in range(3):
        loop.step()
    loop.cancel(1)
    answers = _answers(loop)
    assert answers[1].reason is FinishReason.CANCELLED
    # The beginning of each text went with the steps above, its end is complete.
    assert [answers[i].reason for i in (0, 2, 3)] == [FinishReason.STOP] * 3
    assert all(answers[i].text.endswith("}") for i in (0, 2, 3))


def test_long_prompt_that_is_interrupted_again_and_again_is_answered_in_the_schema(
    model: Model, config: EngineConfig
) -> None:
    loop = EngineLoop(model, config)
    constraint = _constraint(model, PERSON)
    tokens = [1000 + i * 31 % 5000 for i in range(400)]
    loop.submit(GenerationRequest(request_id=1, tokens=tokens, constraint=constraint))
    text = ""
    for i in range(2000):
        if i < 5:
            loop.interrupt()
        text += "".join(event.text for event in loop.step() if not isinstance(event, Errored))
        if not loop.has_work:
            break
    assert conforms(json.loads(text), PERSON)


def test_vocabulary_whose_texts_begin_with_a_space(
    request: pytest.FixtureRequest, config: EngineConfig
) -> None:
    assert request.config.cache is not None
    path = LLAMA_SPM.file(request.config.cache.mkdir("pyrunner-models"))
    model = Model()
    assert model.load([os.fsencode(path)]) == 0
    loop = EngineLoop(model, config)
    for seed in range(4):
        constraint = _constraint(model, PERSON)
        sampling = SamplingParams(seed=seed)
        loop.submit(_request(seed, model, sampling=sampling, constraint=constraint))
    for answer in _answers(loop).values():
        assert conforms(json.loads(answer.text), PERSON), answer.text
