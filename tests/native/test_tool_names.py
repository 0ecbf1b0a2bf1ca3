"""Tools and templates that llama.cpp's grammar of calls is not right for."""

from typing import Any

import pytest
from msgspec.structs import replace
from support.chat_talk import ask, chat_format, user, vocabulary

from pyrunner.chat import Rendered
from pyrunner.errors import InvalidParameterError, UnsupportedParameterError
from pyrunner.types import Tool, ToolChoice
from pyrunner.worker.native import NativePrompts

pytestmark = pytest.mark.native

QWEN = "Qwen-Qwen2.5-7B-Instruct"
FUNCTIONARY = "meetkai-functionary-medium-v3.2"
LAMP = Tool(name="lamp", parameters='{"type":"object","additionalProperties":false}')


@pytest.fixture
def prompts() -> NativePrompts:
    return NativePrompts(vocabulary("qwen2"), None, n_ctx=4096, n_embedded_max=4096)


def _rendered(template: str, *tools: Tool, **fields: object) -> Rendered:
    return chat_format(template).render(ask(user("Hi"), tools=tools, **fields))


def _constraint(prompts: NativePrompts, rendered: Rendered) -> Any:
    assert rendered.calls is not None
    return prompts.constrain_calls(rendered.calls)


def test_template_whose_trigger_is_in_no_rule_is_free_and_can_promise_nothing(prompts):
    assert _constraint(prompts, _rendered(FUNCTIONARY, LAMP)) is None
    promised = _rendered(FUNCTIONARY, replace(LAMP, is_strict=True))
    with pytest.raises(UnsupportedParameterError, match=r"tools\[0\]\.function\.strict"):
        _constraint(prompts, promised)


@pytest.mark.parametrize("names", [("get", "get_schema"), ("a_b", "a-b"), ("x", "call")])
def test_names_that_a_grammar_cannot_tell_apart_are_free_or_refused(prompts, names):
    tools = tuple(replace(LAMP, name=name) for name in names)
    assert _constraint(prompts, _rendered(QWEN, *tools)) is None
    with pytest.raises(InvalidParameterError, match="cannot tell"):
        _constraint(prompts, _rendered(QWEN, *tools, tool_choice=ToolChoice.REQUIRED))


def test_line_separator_of_unicode_in_a_value_stays_one(prompts):
    tool = replace(
        LAMP,
        parameters='{"type":"object","properties":{"on":{"enum":["a\u2028b"]}},"required":["on"]}',
    )
    constraint = _constraint(prompts, _rendered(QWEN, tool, tool_choice=ToolChoice.REQUIRED))
    call = '<tool_call>\n{"name": "lamp", "arguments": {"on": "a\u2028b"}}\n</tool_call>'
    model = vocabulary("qwen2")
    for token in model.tokenize(call, add_special=False, parse_special=True):
        constraint.accept(token)
    words = constraint.mask.cast("B").cast("I")
    assert any(words[end // 32] >> end % 32 & 1 for end in model.end_of_generation_tokens)
