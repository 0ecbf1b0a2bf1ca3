"""Tool calls from models that have no idea of them, held to their form by the engine."""

import dataclasses
import json
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace
from support.chat_talk import TEMPLATES, Answer, ask, ended, user
from support.json_schema import conforms

from pyrunner._native import Model
from pyrunner.chat import ChatFormat
from pyrunner.chat.calls import CallGrammars
from pyrunner.config import EngineConfig
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.request import Errored, Finished, GenerationRequest, Text
from pyrunner.types import FinishReason, Limits, SamplingParams, Tool, ToolChoice

MARK, END_MARK = "<|reserved_special_token_1|>", "<|reserved_special_token_2|>"
SCHEMA = {
    "type": "object",
    "properties": {
        "place": {"enum": ["Bonn", "Paris", 'a "b"']},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "exact": {"type": "boolean"},
    },
    "required": ["place", "days", "exact"],
    "additionalProperties": False,
}
WEATHER = Tool(name="get_weather", parameters=json.dumps(SCHEMA))
STRICT = replace(WEATHER, is_strict=True)
CLOCK = Tool(name="clock")
SEEDS = range(4)


@cache
def _format(model: Model, template: str) -> ChatFormat:
    source = (TEMPLATES / f"{template}.jinja").read_text()
    for own, mark in (("</tool_call>", END_MARK), ("<tool_call>\\n", MARK), ("<tool_call>", MARK)):
        source = source.replace(own, mark)
    return ChatFormat(model, source)


@cache
def _grammars(model: Model) -> CallGrammars:
    return CallGrammars(model)


def _bias(model: Model, begins: str) -> tuple[tuple[int, float], ...]:
    """Towards the beginning of a call, and where there can be one towards the end."""
    (begin,) = model.tokenize(begins, add_special=False, parse_special=True)
    (end_mark,) = model.tokenize(END_MARK, add_special=False, parse_special=True)
    ends = model.end_of_generation_tokens
    return ((begin, 70.0), (end_mark, 50.0), *((end, 90.0) for end in ends))


def _calls(
    model: Model,
    config: EngineConfig,
    template: str,
    biases: tuple[tuple[int, float], ...],
    **fields: Any,
) -> list[Answer]:
    loop = EngineLoop(model, config)
    parsers = []
    for seed in SEEDS:
        rendered = _format(model, template).render(ask(user("Go"), **fields))
        assert rendered.calls is not None
        loop.submit(
            GenerationRequest(
                request_id=seed,
                tokens=rendered.tokens,
                sampling=SamplingParams(
                    temperature=1.5, top_k=0, top_p=1, min_p=0, seed=seed, logit_bias=biases
                ),
                limits=Limits(max_tokens=600, stop=rendered.stop),
                constraint=_grammars(model).constraint(rendered.calls),
                preserved_tokens=rendered.preserved_tokens,
            )
        )
        parsers.append(rendered.parser)
    answers = [Answer() for _ in SEEDS]
    while loop.has_work:
        for event in loop.step():
            assert not isinstance(event, Errored), event
            answer, parser = answers[event.request_id], parsers[event.request_id]
            assert isinstance(event, Text | Finished)
            answer.add(parser.feed(event.text))
            if isinstance(event, Finished):
                events, finish = parser.finish(ended(event.finish.reason))
                answer.add((*events, finish))
    return answers


@pytest.fixture(params=["off", "auto"])
def drafting(request: pytest.FixtureRequest, config: EngineConfig) -> EngineConfig:
    """An engine with drafts and one without."""
    return dataclasses.replace(config, speculation=request.param)


@pytest.mark.parametrize("tool", [WEATHER, STRICT], ids=["loose", "strict"])
@pytest.mark.parametrize(
    ("template", "begins"),
    [("meta-llama-Llama-3.1-8B-Instruct", "{"), ("Qwen-Qwen2.5-7B-Instruct", MARK)],
)
def test_required_call_is_whole_and_keeps_to_its_schema(
    model: Model, drafting: EngineConfig, template: str, begins: str, tool: Tool
) -> None:
    answers = _calls(
        model,
        drafting,
        template,
        _bias(model, begins),
        tools=(tool, CLOCK),
        tool_choice=ToolChoice.REQUIRED,
        required_tool="get_weather",
    )
    for answer in answers:
        assert answer.reason is FinishReason.TOOL_CALLS, answer
        assert answer.calls
        for name, arguments in answer.calls:
            assert name == "get_weather"
            assert conforms(json.loads(arguments), SCHEMA), arguments
    assert len({answer.calls[0][1] for answer in answers}) > 1


def test_answer_is_free_until_its_call_which_is_held_to_the_form(
    model: Model, drafting: EngineConfig
) -> None:
    (mark,) = model.tokenize(MARK, add_special=False, parse_special=True)
    answers = _calls(
        model,
        drafting,
        "Qwen-Qwen2.5-7B-Instruct",
        ((mark, 13.0),),
        tools=(WEATHER, replace(STRICT, name="other")),
    )
    called = [answer for answer in answers if answer.calls]
    assert called
    assert any(answer.content for answer in called)
    for answer in called:
        name, arguments = answer.calls[0]
        assert name in ("get_weather", "other")
        assert conforms(json.loads(arguments), SCHEMA), arguments
