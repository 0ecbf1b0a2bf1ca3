"""What a request says of its answer's form, and what becomes of it."""

import json
from typing import Any

import pytest
from support.api import CHAT, Api

from pyrunner.types import OutputFormat, OutputKind

URLS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "ai/tiny", "prompt": "Hi"},
}
SCHEMA = {"type": "object", "properties": {"z": {}, "a": {}}}
NAMED = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
TOOL = {"type": "function", "function": {"name": "f"}}


def _output(kind: OutputKind, text: object, param: str) -> OutputFormat:
    written = text if isinstance(text, str) else json.dumps(text, separators=(",", ":"))
    return OutputFormat(kind=kind, text=written, param=param)


def _post(api: Api, url: str, **body: object) -> Any:
    return api.post(url, URLS[url] | body)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    ("body", "kind", "text", "param"),
    [
        ({"response_format": NAMED}, OutputKind.JSON_SCHEMA, SCHEMA, "response_format"),
        (
            {"response_format": {"type": "json_object"}},
            OutputKind.JSON_SCHEMA,
            {"type": "object"},
            "response_format",
        ),
        (
            {"response_format": {"type": "json_object", "schema": SCHEMA}},
            OutputKind.JSON_SCHEMA,
            SCHEMA,
            "response_format",
        ),
        ({"json_schema": SCHEMA}, OutputKind.JSON_SCHEMA, SCHEMA, "json_schema"),
        ({"json_schema": {}}, OutputKind.JSON_SCHEMA, {}, "json_schema"),
        ({"grammar": "root ::= x"}, OutputKind.GRAMMAR, "root ::= x", "grammar"),
        ({"regex": "a+"}, OutputKind.REGEX, "a+", "regex"),
        (
            {"regex": "a+", "response_format": {"type": "text"}, "grammar": None},
            OutputKind.REGEX,
            "a+",
            "regex",
        ),
    ],
)
def test_format_reaches_the_runner(api, url, body, kind, text, param):
    assert _post(api, url, **body).status_code == 200
    assert api.runtime.requests[-1].output == _output(kind, text, param)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    "body", [{}, {"response_format": {"type": "text"}}, {"grammar": None, "regex": None}]
)
def test_without_one_the_answer_is_free(api, url, body):
    assert _post(api, url, **body).status_code == 200
    assert api.runtime.requests[-1].output is None


@pytest.mark.parametrize("strict", [True, False, None])
def test_strict_makes_no_difference(api, strict):
    schema = {"name": "x", "schema": SCHEMA, "strict": strict, "description": "d"}
    body = {"response_format": {"type": "json_schema", "json_schema": schema}}
    assert _post(api, "/v1/chat/completions", **body).status_code == 200
    expected = _output(OutputKind.JSON_SCHEMA, SCHEMA, "response_format")
    assert api.runtime.requests[-1].output == expected


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"response_format": {"type": "xml"}}, "response_format.type", "xml"),
        ({"response_format": {}}, "response_format.type", "required"),
        ({"response_format": "json"}, "response_format", "object"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "required"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
            "required",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
            "required",
        ),
        (
            {"response_format": NAMED | {"strict": True}},
            "response_format.strict",
            "not a known parameter",
        ),
        *(
            (
                {"response_format": NAMED | {"type": given}},
                "response_format.json_schema",
                f"belongs to type 'json_schema', not '{given}'",
            )
            for given in ("text", "json_object")
        ),
        *(
            (
                {"response_format": body | {"schema": {}}},
                "response_format.schema",
                "belongs to type 'json_object'",
            )
            for body in (NAMED, {"type": "text"})
        ),
        ({"json_schema": "{}"}, "json_schema", "object"),
        ({"grammar": ""}, "grammar", "is empty"),
        ({"regex": ""}, "regex", "is empty"),
        ({"regex": "a+", "grammar": ""}, "grammar", "is empty"),
        ({"grammar": 3}, "grammar", "str"),
        ({"regex": "a", "grammar": "b"}, "regex", "contradicts 'grammar'"),
        ({"response_format": NAMED, "json_schema": {}}, "json_schema", "contradicts"),
    ],
)
def test_form_that_is_none_is_refused(api, url, body, param, says):
    result = _post(api, url, **body)
    assert result.status_code == 400
    assert result.json["error"]["param"] == param
    assert says in result.json["error"]["message"]
    assert api.runtime.requests == []


def test_tools_that_may_not_be_called_leave_room_for_a_format(api):
    body = {"tools": [TOOL], "tool_choice": "none", "regex": "a"}
    assert _post(api, "/v1/chat/completions", **body).status_code == 200
    result = _post(api, "/v1/chat/completions", **(body | {"tool_choice": "auto"}))
    assert result.status_code == 400
    assert result.json["error"]["param"] == "regex"
    assert "without 'tools'" in result.json["error"]["message"]
