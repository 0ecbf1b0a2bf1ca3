"""Tool calls that follow a grammar, over a real vocabulary and llama.cpp's templates."""

import json
import logging
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace
from support.chat_talk import TEMPLATES, WEATHER, ask, chat_format, hear, user, vocabulary

from pyrunner.chat import ChatFormat, Rendered
from pyrunner.chat.calls import CallGrammars
from pyrunner.chat.lazy import LazyConstraint
from pyrunner.chat.matching import TokenConstraint
from pyrunner.errors import InvalidParameterError, InvalidRequestError, UnsupportedParameterError
from pyrunner.types import ChatMessage, Tool, ToolChoice
from pyrunner.worker.native import NativePrompts

pytestmark = pytest.mark.native

QWEN = "Qwen-Qwen2.5-7B-Instruct"
QWEN3 = "Qwen-Qwen3-0.6B"
LAMP = Tool(
    name="set_lamp",
    parameters='{"type":"object","properties":{"on":{"type":"boolean"},"level":{"type":"integer"}},'
    '"required":["on"],"additionalProperties":false}',
)
TOOLS = (WEATHER, LAMP)
ON = '<tool_call>\n{"name": "set_lamp", "arguments": {"on": true}}\n</tool_call>'
Constraint = TokenConstraint | LazyConstraint


@cache
def _grammars() -> CallGrammars:
    return CallGrammars(vocabulary("qwen2"))


def _rendered(template: str, tools: tuple[Tool, ...] = TOOLS, **fields: object) -> Rendered:
    return chat_format(template).render(ask(user("Hi"), tools=tools, **fields))


def _constraint(template: str, tools: tuple[Tool, ...] = TOOLS, **fields: object) -> Constraint:
    calls = _rendered(template, tools, **fields).calls
    assert calls is not None
    return _grammars().constraint(calls)


def _tokens(text: str, *, is_special: bool = True) -> list[int]:
    return vocabulary("qwen2").tokenize(text, add_special=False, parse_special=is_special)


def _say(constraint: Constraint, text: str) -> None:
    for token in _tokens(text):
        constraint.accept(token)


def _allows(constraint: Constraint, text: str) -> bool:
    mask = constraint.mask
    return mask is None or _is_in(mask, _tokens(text)[0])


def _is_in(mask: memoryview, token: int) -> bool:
    return bool(mask[token // 32] >> (token % 32) & 1)


def _is_free(constraint: Constraint) -> bool:
    return constraint.mask is None


def _may_end(constraint: Constraint) -> bool:
    mask = constraint.mask
    ends = vocabulary("qwen2").end_of_generation_tokens
    return mask is None or any(_is_in(mask, end) for end in ends)


def test_nothing_is_masked_before_the_call_and_the_call_is():
    constraint = _constraint(QWEN)
    _say(constraint, "Let me see: <tool_cal> <b>")
    assert _is_free(constraint)
    assert not constraint.forced()
    _say(constraint, "<tool_call>\n")
    assert not _is_free(constraint)
    assert _allows(constraint, "{")
    assert not _allows(constraint, "Hello")
    assert not _may_end(constraint)


def test_after_a_call_there_is_another_or_the_end():
    constraint = _constraint(QWEN)
    _say(constraint, ON)
    assert _may_end(constraint)
    assert _allows(constraint, "<tool_call>")
    assert not _allows(constraint, "Hello")


@pytest.mark.parametrize(
    "call",
    [
        '<tool_call>\n{"name": "unknown"',
        '<tool_call>\n{"name": "set_lamp", "arguments": {"on": "yes"',
        '<tool_call>\n{"name": "set_lamp", "arguments": {"level": 1',
        '<tool_call>\n{"name": "set_lamp", "arguments": {"on": true}}\nThat',
    ],
    ids=["name", "type", "required", "no end"],
)
@pytest.mark.parametrize("choice", [ToolChoice.AUTO, ToolChoice.REQUIRED])
def test_call_that_is_not_right_cannot_be_said(call, choice):
    constraint = _constraint(QWEN, tool_choice=choice)
    with pytest.raises(InvalidParameterError, match="'tools' cannot be followed"):
        _say(constraint, call)


def test_mark_that_is_a_control_token_is_the_same_in_ordinary_tokens():
    model = vocabulary("llama-bpe")
    marks = ("<|reserved_special_token_1|>", "<|reserved_special_token_2|>")
    source = (TEMPLATES / f"{QWEN}.jinja").read_text()
    for own, mark in zip(("<tool_call>", "</tool_call>"), marks, strict=True):
        source = source.replace(own, mark)
    calls = ChatFormat(model, source).render(ask(user("Hi"), tools=TOOLS)).calls
    assert calls is not None
    text = ON.replace("<tool_call>", marks[0]).replace("</tool_call>", marks[1])
    marked = model.tokenize(text, add_special=False, parse_special=True)
    spelled = model.tokenize(text, add_special=False, parse_special=False)
    assert {128003, 128004} < set(marked)
    assert set(spelled).isdisjoint({128003, 128004})
    grammars = CallGrammars(model)
    for tokens in (marked, spelled):
        constraint = grammars.constraint(calls)
        for token in tokens:
            constraint.accept(token)
        assert constraint.mask is not None
        assert _is_in(constraint.mask, model.end_of_generation_tokens[0])


def test_call_may_begin_inside_a_token():
    constraint = _constraint("fireworks-ai-llama-3-firefunction-v2")
    token = _tokens(" functools")
    assert len(token) < len("functools")
    for each in (*token, *_tokens("[{")):
        constraint.accept(each)
    assert not _is_free(constraint)


def test_call_in_a_thought_is_part_of_it():
    constraint = _constraint(QWEN3)
    _say(constraint, "<think>\nI could <tool_call>\n it.\n")
    assert _is_free(constraint)
    _say(constraint, "</think>\n\n<tool_call>\n")
    assert not _is_free(constraint)


def test_thought_that_the_prompt_has_begun_counts():
    constraint = _constraint("Qwen-QwQ-32B")
    _say(constraint, "I could <tool_call>\n it.\n")
    assert _is_free(constraint)


def test_draft_with_a_call_in_it_is_masked_from_there_on():
    draft = _tokens("I will: " + ON)
    constraint = _constraint(QWEN)
    masks = constraint.masks_behind(draft)
    assert _is_free(constraint)
    assert len(masks) == len(draft)
    said = _constraint(QWEN)
    for token, mask in zip(draft, masks, strict=True):
        said.accept(token)
        assert (mask is None) is (said.mask is None)
        assert mask is None or bytes(mask) == bytes(said.mask or b"")
    assert masks[0] is None
    assert masks[-1] is not None


def test_draft_is_cut_where_its_call_goes_wrong():
    right, wrong = _tokens('Ah. <tool_call>\n{"name": "set_lamp"'), _tokens(" oops")
    constraint = _constraint(QWEN)
    assert len(constraint.masks_behind([*right, *wrong, *right])) == len(right)
    assert _is_free(constraint)


def test_begun_call_has_forced_tokens():
    constraint = _constraint(QWEN)
    _say(constraint, '<tool_call>\n{"name": "set_')
    model = vocabulary("qwen2")
    assert model.detokenize(constraint.forced()).startswith(b"lamp")


def test_no_token_to_choose_from_is_an_error_before_the_call_too():
    with pytest.raises(InvalidParameterError, match="no token to choose"):
        _constraint(QWEN).accept(-1)


def test_required_call_may_come_behind_a_thought_with_marks_of_its_own():
    fields: Any = {"tool_choice": ToolChoice.REQUIRED}
    constraint = _constraint(QWEN3, **fields)
    thought = "I <think> in <b>bold</b> and </thin> <tool_call> </tool_call>. " * 20
    text = f"<think>\n{thought}\n</think>\n\n{ON}"
    _say(constraint, text)
    assert _may_end(constraint)
    answer = hear(_rendered(QWEN3, **fields).parser, [text])
    assert answer.calls == [("set_lamp", '{"on": true}')]


@pytest.mark.parametrize("template", [QWEN, QWEN3, "Qwen-QwQ-32B"])
def test_required_call_is_not_put_off(template):
    constraint = _constraint(template, tool_choice=ToolChoice.REQUIRED)
    assert not _may_end(constraint)
    if template == "Qwen-QwQ-32B":
        _say(constraint, "Hm.\n" + ON)
        assert not _may_end(constraint), "the thought is open"
        _say(constraint, "\n</think>\n\n")
    assert not _allows(constraint, "Hello")
    assert _allows(constraint, "<tool_call>")


def test_answer_that_the_prompt_has_begun_goes_on_to_the_call():
    begun = ChatMessage(role="assistant", content="Let me see")
    asked = ask(user("Hi"), begun, tools=TOOLS, tool_choice=ToolChoice.REQUIRED)
    calls = chat_format(QWEN).render(asked).calls
    assert calls is not None
    constraint = _grammars().constraint(calls)
    _say(constraint, ": " + ON)
    assert _may_end(constraint)


def test_named_tool_is_the_only_one_that_can_be_called_but_all_are_shown():
    fields: Any = {"tool_choice": ToolChoice.REQUIRED, "required_tool": "set_lamp"}
    rendered = _rendered(QWEN, **fields)
    assert rendered.prompt == _rendered(QWEN, tool_choice=ToolChoice.REQUIRED).prompt
    assert "get_weather" in rendered.prompt
    constraint = _constraint(QWEN, **fields)
    _say(constraint, ON)
    with pytest.raises(InvalidParameterError):
        _say(_constraint(QWEN, **fields), '<tool_call>\n{"name": "get_weather"')


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        (QWEN, {"tools": ()}),
        (QWEN, {"tool_choice": ToolChoice.NONE}),
        ("google-gemma-2-2b-it", {}),
        ("meta-llama-Llama-3.1-8B-Instruct", {}),
    ],
    ids=["no tools", "none", "no calls", "no trigger"],
)
def test_answer_without_a_form_of_calls_is_free(template, fields):
    assert _rendered(template, **fields).calls is None


STRICT = replace(
    LAMP,
    name="set.lamp",
    is_strict=True,
    parameters='{"type":"object","properties":{"level":{"type":"integer","multipleOf":10}},'
    '"required":["level"],"additionalProperties":false}',
)


def test_strict_arguments_keep_to_what_llama_cpp_would_let_pass():
    for is_strict in (True, False):
        constraint = _constraint(QWEN, (WEATHER, replace(STRICT, is_strict=is_strict)))
        _say(constraint, '<tool_call>\n{"name": "set.lamp", "arguments": {"level": 12')
        assert _allows(constraint, "}") is not is_strict
        _say(constraint, "0}}\n</tool_call>")
        assert _may_end(constraint)


def test_strict_tool_without_parameters_has_no_arguments():
    constraint = _constraint(QWEN, (Tool(name="now", is_strict=True),))
    _say(constraint, '<tool_call>\n{"name": "now", "arguments": {')
    assert _allows(constraint, "}")
    assert not _allows(constraint, '"')


def _strict(**schema: object) -> Tool:
    return Tool(name="f", is_strict=True, parameters=json.dumps({"type": "object"} | schema))


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        (_strict(properties={"a": {"uniqueItems": True}}), "#/properties/a/uniqueItems: this"),
        (_strict(properties={"a": {"type": "string", "format": "x"}}), "#/properties/a/format:"),
        (
            _strict(properties={"a": {"type": "string", "pattern": "(?=a)b"}}),
            "#/properties/a: regex",
        ),
        (_strict(type="string"), "#/type: arguments are"),
        (Tool(name="f", is_strict=True, parameters='{"properties":{}}'), "#/type: arguments are"),
    ],
)
@pytest.mark.parametrize("choice", [ToolChoice.AUTO, ToolChoice.REQUIRED])
def test_strict_schema_that_cannot_be_kept_is_refused_with_its_place(tool, says, choice):
    with pytest.raises(InvalidParameterError) as refused:
        _constraint(QWEN, (WEATHER, tool), tool_choice=choice)
    assert refused.value.param == "tools[1].function.parameters"
    assert says in refused.value.problem


@pytest.mark.parametrize(
    ("template", "tools", "fields", "param"),
    [
        ("google-gemma-2-2b-it", TOOLS, {"tool_choice": ToolChoice.REQUIRED}, "tool_choice"),
        (
            "meta-llama-Llama-3.1-8B-Instruct",
            (WEATHER, STRICT),
            {},
            "tools[1].function.strict",
        ),
        ("Qwen3-Coder", (STRICT,), {}, "tools[0].function.strict"),
        (QWEN, (STRICT, replace(STRICT, name="set-lamp")), {}, "tools[0].function.strict"),
    ],
    ids=["no calls", "no trigger", "arguments one by one", "names alike"],
)
def test_promise_that_the_model_cannot_keep_is_refused(template, tools, fields, param):
    with pytest.raises(UnsupportedParameterError) as refused:
        _constraint(template, tools, **fields)
    assert refused.value.param == param


MANY = {f"q{i}": {"type": "string"} for i in range(100)}
PARTS = {f"p{i}": {"type": "object", "properties": MANY} for i in range(40)}
DEEP = Tool(name="deep", parameters=json.dumps({"type": "object", "properties": PARTS}))


def _without_promise(prompts: NativePrompts, rendered: Rendered) -> object:
    assert rendered.calls is not None
    return prompts.constrain_calls(rendered.calls)


@pytest.fixture
def prompts() -> NativePrompts:
    return NativePrompts(vocabulary("qwen2"), None, n_ctx=4096, n_embedded_max=4096)


def test_calls_that_cannot_be_held_to_a_grammar_are_free_where_nothing_was_promised(
    prompts, caplog
):
    with caplog.at_level(logging.WARNING):
        assert _without_promise(prompts, _rendered(QWEN, (DEEP,))) is None
    assert "not held to their form" in caplog.text


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": ToolChoice.REQUIRED},
        {"tool_choice": ToolChoice.REQUIRED, "required_tool": "deep"},
    ],
)
def test_calls_that_cannot_be_held_to_a_grammar_are_refused_where_they_were_promised(
    prompts, fields
):
    with pytest.raises(InvalidRequestError, match="longer than"):
        _without_promise(prompts, _rendered(QWEN, (DEEP,), **fields))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (QWEN, ON),
        (QWEN3, "<think>\nHm <b>.\n</think>\n\n" + ON),
        (
            "meta-llama-Llama-3.1-8B-Instruct",
            '{"name": "set_lamp", "parameters": {"on": false, "level": 3}}',
        ),
        ("meetkai-functionary-medium-v3.1", '<function=set_lamp>{"on": true}</function>'),
        (
            "Qwen3-Coder",
            "<function=set_lamp>\n<parameter=on>\ntrue\n</parameter>\n</function>\n</tool_call>",
        ),
        (
            "openai-gpt-oss-120b",
            '<|channel|>commentary to=functions.set_lamp <|constrain|>json<|message|>{"on": true}',
        ),
    ],
)
def test_calls_as_models_write_them_are_followed_and_parsed(template, text):
    fields: Any = {"tool_choice": ToolChoice.REQUIRED}
    constraint = _constraint(template, **fields)
    _say(constraint, text)
    assert constraint.is_complete or _may_end(constraint)
    answer = hear(_rendered(template, **fields).parser, [text])
    assert [name for name, _ in answer.calls] == ["set_lamp"]
