"""Schemas, grammars and expressions from OpenAI's client to the model and back."""

import json
import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
        "words": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 3},
        "size": {"type": "integer", "minimum": 1, "maximum": 99},
    },
    "required": ["kind", "words", "size"],
    "additionalProperties": False,
}
FORMAT: Any = {
    "type": "json_schema",
    "json_schema": {"name": "thing", "schema": SCHEMA, "strict": True},
}


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


def test_every_answer_follows_the_schema_also_at_once(client):
    def ask(seed: int) -> Any:
        return _chat(client, response_format=FORMAT, seed=seed, temperature=1.5).choices[0]

    with ThreadPoolExecutor(6) as pool:
        choices = list(pool.map(ask, range(12)))
    assert {choice.finish_reason for choice in choices} == {"stop"}
    for choice in choices:
        assert conforms(json.loads(choice.message.content), SCHEMA), choice.message.content


def test_streamed_answer_is_the_whole_one(client):
    body = {"response_format": FORMAT, "temperature": 0}
    whole = _chat(client, **body).choices[0].message.content
    chunks = [chunk.choices[0] for chunk in _chat(client, **body, stream=True)]
    assert "".join(each.delta.content or "" for each in chunks) == whole
    assert chunks[-1].finish_reason == "stop"
    assert conforms(json.loads(whole), SCHEMA)


def test_json_object_is_an_object(client):
    for seed in range(5):
        kind = {"type": "json_object"}
        answer = _chat(client, response_format=kind, seed=seed, max_tokens=2000).choices[0]
        if answer.finish_reason == "stop":
            assert isinstance(json.loads(answer.message.content), dict)
        assert answer.message.content.startswith("{")


def test_text_is_free(client):
    free = _chat(client, temperature=0).choices[0].message.content
    said = _chat(client, temperature=0, response_format={"type": "text"}).choices[0].message.content
    assert said == free


@pytest.mark.parametrize(
    ("extra", "pattern"),
    [
        ({"regex": "[A-F]{2}-[0-9]{3}"}, "[A-F]{2}-[0-9]{3}"),
        ({"grammar": 'root ::= "docker " [a-z] [a-z]? "."'}, "docker [a-z]{1,2}[.]"),
        ({"json_schema": {"type": "integer", "minimum": 10, "maximum": 20}}, "1[0-9]|20"),
    ],
)
@pytest.mark.parametrize("is_chat", [True, False], ids=["chat", "completion"])
def test_what_other_servers_take_is_taken_too(client, extra, pattern, is_chat):
    if is_chat:
        said = _chat(client, extra_body=extra, seed=1).choices[0].message.content
    else:
        answer = client.completions.create(model=MODEL, prompt="Docker", seed=1, extra_body=extra)
        said = answer.choices[0].text
    assert re.fullmatch(pattern, said), said


def test_token_limit_is_told(client):
    choice = _chat(client, response_format=FORMAT, max_tokens=3).choices[0]
    assert choice.finish_reason == "length"


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (
            {"response_format": FORMAT | {"json_schema": {"name": "x", "schema": {"not": {}}}}},
            "response_format",
            "#/not: this keyword is not supported",
        ),
        ({"extra_body": {"json_schema": {"type": "text"}}}, "json_schema", "#/type"),
        ({"extra_body": {"regex": "("}}, "regex", "unclosed group"),
        ({"extra_body": {"grammar": "no grammar"}}, "grammar", "neither GBNF nor Lark"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_kept_is_a_400_and_no_text(client, body, param, says, stream):
    with pytest.raises(openai.BadRequestError) as refused:
        _chat(client, **body, stream=stream)
    assert refused.value.param == param
    assert says in refused.value.message
