"""Calls that were asked for, from OpenAI's client to the demo model and back."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from support.json_schema import conforms
from support.live_server import PATIENCE_S, served

from pyrunner import config
from pyrunner.runtime.processes import children

pytestmark = [
    pytest.mark.native,
    pytest.mark.slow,
    pytest.mark.keeps_open("the client keeps its connections"),
]

MODEL = "pyrunner/demo"
QUESTION: Any = [{"role": "user", "content": "What is an image?"}]
SCHEMA: Any = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["image", "container"]},
        "size": {"type": "integer", "minimum": 1, "maximum": 99},
    },
    "required": ["kind", "size"],
    "additionalProperties": False,
}
LIST: Any = {"type": "function", "function": {"name": "list_things", "parameters": SCHEMA}}
TELL: Any = {
    "type": "function",
    "function": {"name": "tell", "parameters": SCHEMA, "strict": True},
}
NAMED: Any = {"type": "function", "function": {"name": "tell"}}


@pytest.fixture(scope="module")
def client(tmp_path_factory: Any) -> Iterator[openai.OpenAI]:
    home = tmp_path_factory.mktemp("pyr", numbered=True)
    overrides = {"server.port": 0, "engine.n_threads": 1, "runtime.orphan_grace_s": 0.5}
    with served(config.load(overrides, {"PYRUNNER_HOME": str(home)})) as (server, _):
        url = server.listening.url
        try:
            with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as opened:
                yield opened
        finally:
            everything = json.dumps({"all": True}).encode()
            with urllib.request.urlopen(f"{url}/engines/unload", everything, timeout=PATIENCE_S):
                pass
            children.reap()


def _chat(client: openai.OpenAI, **body: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=QUESTION, **body)


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_call_that_was_asked_for_is_made_and_keeps_to_its_schema(client, choice):
    for seed in range(4):
        answer = _chat(client, tools=[LIST, TELL], tool_choice=choice, seed=seed).choices[0]
        assert answer.finish_reason == "tool_calls"
        for call in answer.message.tool_calls:
            assert call.function.name in (["tell"] if choice == NAMED else ["tell", "list_things"])
            assert conforms(json.loads(call.function.arguments), SCHEMA), call.function.arguments


def test_streamed_call_is_the_whole_one(client):
    body = {"tools": [TELL], "tool_choice": "required", "temperature": 0}
    whole = _chat(client, **body).choices[0].message.tool_calls[0].function.arguments
    chunks = [chunk.choices[0] for chunk in _chat(client, **body, stream=True)]
    deltas = [call for each in chunks for call in each.delta.tool_calls or () if call.index == 0]
    assert "".join(each.function.arguments or "" for each in deltas) == whole
    assert chunks[-1].finish_reason == "tool_calls"


def test_tools_change_nothing_where_none_is_called(client):
    free = _chat(client, tools=[LIST], tool_choice="none", temperature=0).choices[0].message
    auto = _chat(client, tools=[LIST], tool_choice="auto", temperature=0).choices[0].message
    assert free.tool_calls is None
    assert auto.tool_calls or auto.content == free.content


def _strict(**properties: Any) -> Any:
    schema = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": "f", "strict": True, "parameters": schema}}


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"tools": [LIST], "tool_choice": NAMED}, "tool_choice.function.name", "'tell'"),
        ({"tool_choice": "required"}, "tool_choice", "without 'tools'"),
        (
            {"tools": [LIST, _strict(a={"not": {}})]},
            "tools[1].function.parameters",
            "#/properties/a/not",
        ),
    ],
)
def test_what_cannot_be_promised_is_a_400(client, body, param, says):
    with pytest.raises(openai.BadRequestError) as refused:
        _chat(client, **body)
    assert refused.value.param == param
    assert says in refused.value.message
