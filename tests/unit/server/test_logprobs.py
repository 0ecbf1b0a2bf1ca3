"""Logprobs in OpenAI's two shapes."""

import json
from typing import Any

import pytest
from support.api import CHAT
from support.scripted_runtime import FINISH

from pyrunner.types import ReasoningEvent, TextEvent, TokenChance, TokenLogprobs, ToolCallEvent

CHAT_URL = "/v1/chat/completions"
TEXT_URL = "/v1/completions"
TEXT = {"model": "ai/tiny", "prompt": "Once"}


def _token(piece: bytes, logprob: float, *others: tuple[bytes, float]) -> TokenLogprobs:
    chances = tuple(TokenChance(7, each, number) for each, number in others)
    return TokenLogprobs(TokenChance(5, piece, logprob), chances)


SCRIPT = (
    TextEvent(text="Hi", logprobs=(_token(b"Hi", -0.5, (b"Hi", -0.5), (b"<|end|>", -1.5)),)),
    TextEvent(
        text=" \u00e9",
        logprobs=(
            _token(b" \xc3", -1.0, (b"\xa9", -0.25), (b"\xc3", -0.75)),
            _token(b"\xa9", float("-inf"), (b"x", -2.0), (b"x", -3.0)),
        ),
    ),
    TextEvent(text="!", logprobs=(_token(b"!", float("nan")),)),
    FINISH,
)
CONTENT = [
    {
        "token": "Hi",
        "logprob": -0.5,
        "bytes": [72, 105],
        "top_logprobs": [
            {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]},
            {"token": "<|end|>", "logprob": -1.5, "bytes": list(b"<|end|>")},
        ],
    },
    {
        "token": " \ufffd",
        "logprob": -1.0,
        "bytes": [32, 195],
        "top_logprobs": [
            {"token": "\ufffd", "logprob": -0.25, "bytes": [169]},
            {"token": "\ufffd", "logprob": -0.75, "bytes": [195]},
        ],
    },
    {
        "token": "\ufffd",
        "logprob": -9999.0,
        "bytes": [169],
        "top_logprobs": [
            {"token": "x", "logprob": -2.0, "bytes": [120]},
            {"token": "x", "logprob": -3.0, "bytes": [120]},
        ],
    },
    {"token": "!", "logprob": -9999.0, "bytes": [33], "top_logprobs": []},
]
LISTS: dict[str, Any] = {
    "tokens": ["Hi", "bytes:\\x20\\xc3", "bytes:\\xa9", "!"],
    "token_logprobs": [-0.5, -1.0, -9999.0, -9999.0],
    "top_logprobs": [
        {"Hi": -0.5, "<|end|>": -1.5},
        {"bytes:\\x20\\xc3": -1.0, "bytes:\\xa9": -0.25, "bytes:\\xc3": -0.75},
        {"bytes:\\xa9": -9999.0, "x": -2.0},
        {"!": -9999.0},
    ],
    "text_offset": [0, 2, 3, 4],
}


@pytest.fixture(autouse=True)
def _script(api):
    api.runtime.script = SCRIPT


def _choices(api: Any, url: str, body: dict[str, Any]) -> list[Any]:
    lines = [line for line in api.post(url, body | {"stream": True}).text.split("\n\n") if line]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    return [chunk["choices"][0] for chunk in chunks]


@pytest.mark.parametrize(
    ("url", "body", "n_logprobs"),
    [
        (CHAT_URL, CHAT, None),
        (CHAT_URL, CHAT | {"logprobs": False, "top_logprobs": 0}, None),
        (CHAT_URL, CHAT | {"logprobs": True}, 0),
        (CHAT_URL, CHAT | {"logprobs": True, "top_logprobs": 20}, 20),
        (TEXT_URL, TEXT, None),
        (TEXT_URL, TEXT | {"logprobs": None}, None),
        (TEXT_URL, TEXT | {"logprobs": 0, "top_logprobs": 0}, 0),
        (TEXT_URL, TEXT | {"logprobs": 5}, 5),
    ],
)
def test_what_is_asked_for_reaches_the_runner(api, url, body, n_logprobs):
    result = api.post(url, body)
    assert api.runtime.requests[-1].n_logprobs == n_logprobs
    assert (result.json["choices"][0]["logprobs"] is None) is (n_logprobs is None)


def test_chat_has_one_object_per_token_of_the_content(api):
    choice = api.post(CHAT_URL, CHAT | {"logprobs": True}).json["choices"][0]
    assert choice["logprobs"] == {"content": CONTENT, "refusal": None}


def test_streamed_chat_has_them_beside_their_content(api):
    role, *pieces, reason = _choices(api, CHAT_URL, CHAT | {"logprobs": True})
    assert role["logprobs"] is None
    assert reason["logprobs"] is None
    cuts = [CONTENT[:1], CONTENT[1:3], CONTENT[3:]]
    assert [each["logprobs"] for each in pieces] == [
        {"content": cut, "refusal": None} for cut in cuts
    ]


def test_chat_has_none_of_reasoning_and_tool_calls(api):
    call = ToolCallEvent(index=0, id="c1", name="f", arguments="{}")
    api.runtime.script = (ReasoningEvent(text="Hm"), SCRIPT[0], call, FINISH)
    choice = api.post(CHAT_URL, CHAT | {"logprobs": True}).json["choices"][0]
    assert choice["logprobs"]["content"] == CONTENT[:1]
    _, thought, said, called, _ = _choices(api, CHAT_URL, CHAT | {"logprobs": True})
    assert [each["logprobs"] is None for each in (thought, said, called)] == [True, False, True]


def test_text_has_parallel_lists(api):
    choice = api.post(TEXT_URL, TEXT | {"logprobs": 2}).json["choices"][0]
    assert choice["logprobs"] == LISTS


def test_streamed_text_counts_its_offsets_on(api):
    *pieces, reason = _choices(api, TEXT_URL, TEXT | {"logprobs": 2})
    assert reason["logprobs"] is None
    for name, values in LISTS.items():
        found = [each["logprobs"][name] for each in pieces]
        assert found == [values[:1], values[1:3], values[3:]]
