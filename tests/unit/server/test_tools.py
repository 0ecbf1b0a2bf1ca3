"""What a chat says of its tools, as the worker is asked for it."""

from typing import Any

import pytest
from support.api import CHAT, Api

from pyrunner.types import ToolChoice

URL = "/v1/chat/completions"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "other"}}


def _asked(api: Api, **body: object) -> Any:
    result = api.post(URL, CHAT | body)
    assert result.status_code == 200, result.text
    return api.runtime.requests[-1]


@pytest.mark.parametrize(
    ("given", "choice", "name"),
    [
        (None, ToolChoice.AUTO, None),
        ("auto", ToolChoice.AUTO, None),
        ("none", ToolChoice.NONE, None),
        ("required", ToolChoice.REQUIRED, None),
        (
            {"type": "function", "function": {"name": "weather"}},
            ToolChoice.REQUIRED,
            "weather",
        ),
    ],
)
def test_tool_choice_says_whether_and_what_to_call(api, given, choice, name):
    request = _asked(api, tools=[TOOL], tool_choice=given)
    assert (request.tool_choice, request.required_tool) == (choice, name)


def test_strict_tools_are_told_apart(api):
    strict = {"type": "function", "function": {"name": "f", "strict": True}}
    request = _asked(api, tools=[TOOL, strict])
    assert [tool.is_strict for tool in request.tools] == [False, True]


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"tool_choice": 5}, "tool_choice", "'auto', 'none', 'required' or"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice", "has to be"),
        ({"tools": [TOOL], "tool_choice": OTHER | {"x": 1}}, "tool_choice", "has to be"),
        ({"tools": [TOOL], "tool_choice": OTHER}, "tool_choice.function.name", "tools: 'other'"),
        ({"tool_choice": OTHER}, "tool_choice", "without 'tools'"),
        ({"tool_choice": "required"}, "tool_choice", "without 'tools'"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice", "without 'tools'"),
    ],
)
def test_choice_of_what_cannot_be_called_is_a_400_that_says_so(api, body, param, says):
    result = api.post(URL, CHAT | body)
    assert result.status_code == 400
    error = result.json["error"]
    assert error["param"] == param
    assert says in error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "required", "regex": "a"}, "regex"),
    ],
)
def test_what_is_not_supported_of_tools_is_named(api, body, param):
    result = api.post(URL, CHAT | body)
    assert result.status_code == 400
    assert result.json["error"]["param"] == param
    assert "not supported" in result.json["error"]["message"]
