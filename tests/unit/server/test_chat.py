"""Chat completions: what reaches the runner and what comes back."""

import json
from typing import Any

import pytest
from falcon import testing
from support.api import CHAT, Api
from support.scripted_runtime import FINISH

from pyrunner.types import (
    CacheUse,
    ChatMessage,
    Limits,
    ModelMode,
    ReasoningEvent,
    SamplingParams,
    TextEvent,
    ToolCall,
    ToolCallEvent,
    ToolChoice,
)

URL = "/v1/chat/completions"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Says it.",
        "parameters": {"type": "object", "properties": {"b": {}, "a": {}}},
    },
}


def _asked(api: Api, **body: object) -> Any:
    result = api.post(URL, CHAT | body)
    assert result.status_code == 200, result.text
    return api.runtime.requests[-1]


def _events(result: testing.Result) -> list[Any]:
    lines = [line for line in result.text.split("\n\n") if line]
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize("prefix", ["/v1", "/engines/v1", "/engines/llama.cpp/v1"])
def test_answer_is_openais_document_on_every_prefix(api, prefix):
    result = api.post(f"{prefix}/chat/completions", CHAT)
    assert result.json["object"] == "chat.completion"
    assert result.json["id"].startswith("chatcmpl-")
    assert result.json["created"] == 1_700_000_000
    assert result.json["model"] == "ai/tiny"
    assert result.json["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]


def test_usage_and_timings_are_right(api):
    result = api.post(URL, CHAT)
    assert result.json["usage"] == {
        "prompt_tokens": 12,
        "completion_tokens": 2,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    assert result.json["timings"] == {
        "cache_n": 4,
        "prompt_n": 8,
        "prompt_ms": 500.0,
        "prompt_per_second": 16.0,
        "predicted_n": 2,
        "predicted_ms": 250.0,
        "predicted_per_second": 8.0,
    }


def test_stream_is_role_pieces_reason_done(api):
    result = api.post(URL, CHAT | {"stream": True})
    assert result.headers["content-type"] == "text/event-stream; charset=utf-8"
    chunks = _events(result)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert "usage" not in chunks[-1]
    assert chunks[-1]["timings"]["predicted_n"] == 2
    assert api.runtime.streams[0].closed.is_set()


def test_stream_with_usage_has_one_more_chunk(api):
    result = api.post(URL, CHAT | {"stream": True, "stream_options": {"include_usage": True}})
    *_, reason, usage = _events(result)
    assert reason["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 14
    assert "timings" in usage
    assert "timings" not in reason


def test_stream_has_no_hop_by_hop_header(api):
    result = api.post(URL, CHAT | {"stream": True})
    assert not {"connection", "keep-alive", "transfer-encoding"} & set(result.headers)


THINKING = (
    ReasoningEvent(text="Hm"),
    ReasoningEvent(text="m."),
    TextEvent(text="Yes."),
    ToolCallEvent(index=0, id="c1", name="weather", arguments=""),
    ToolCallEvent(index=0, arguments='{"city"'),
    ToolCallEvent(index=0, arguments=':"Bern"}'),
    ToolCallEvent(index=1, id="c2", name="time", arguments="{}"),
    FINISH,
)


def test_reasoning_and_tool_calls_are_collected(api):
    api.runtime.script = THINKING
    message = api.post(URL, CHAT | {"tools": [TOOL]}).json["choices"][0]["message"]
    assert message == {
        "role": "assistant",
        "content": "Yes.",
        "reasoning_content": "Hmm.",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"Bern"}'},
            },
            {"id": "c2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
        ],
    }


def test_tool_calls_alone_have_null_content(api):
    api.runtime.script = (ToolCallEvent(index=0, id="c", name="f", arguments="{}"), FINISH)
    assert api.post(URL, CHAT).json["choices"][0]["message"]["content"] is None


def test_reasoning_and_tool_calls_are_streamed_in_pieces(api):
    api.runtime.script = THINKING
    chunks = _events(api.post(URL, CHAT | {"stream": True}))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[1:-1]]
    assert deltas == [
        {"reasoning_content": "Hm"},
        {"reasoning_content": "m."},
        {"content": "Yes."},
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ':"Bern"}'}}]},
        {
            "tool_calls": [
                {
                    "index": 1,
                    "id": "c2",
                    "type": "function",
                    "function": {"name": "time", "arguments": "{}"},
                }
            ]
        },
    ]


def test_minimal_request_takes_every_default(api):
    request = _asked(api)
    assert request.sampling == SamplingParams()
    assert request.limits == Limits()
    assert request.messages == (ChatMessage(role="user", content="hi"),)
    assert (request.tools, request.tool_choice) == ((), ToolChoice.AUTO)
    assert api.runtime.loads == [("ai/tiny", ModelMode.COMPLETION)]


def test_every_sampling_parameter_reaches_the_runner(api):
    request = _asked(
        api,
        temperature=0,
        top_k=5,
        top_p=0.5,
        min_p=0,
        typical_p=0.9,
        repeat_penalty=1.1,
        repeat_last_n=32,
        presence_penalty=-1,
        frequency_penalty=1.5,
        dynatemp_range=0.5,
        dynatemp_exponent=2,
        top_n_sigma=1.5,
        xtc_probability=0.5,
        xtc_threshold=0.2,
        mirostat=2,
        mirostat_tau=4,
        mirostat_eta=0.2,
        adaptive_target=0.3,
        adaptive_decay=0.5,
        dry_multiplier=0.8,
        dry_base=2,
        dry_allowed_length=3,
        dry_penalty_last_n=128,
        dry_sequence_breakers=["\n", "END"],
        seed=7,
        logit_bias={"13": -100, "7": 1.5},
    )
    assert request.sampling == SamplingParams(
        temperature=0,
        top_k=5,
        top_p=0.5,
        min_p=0,
        typical_p=0.9,
        repeat_penalty=1.1,
        repeat_last_n=32,
        presence_penalty=-1,
        frequency_penalty=1.5,
        dynatemp_range=0.5,
        dynatemp_exponent=2,
        top_n_sigma=1.5,
        xtc_probability=0.5,
        xtc_threshold=0.2,
        mirostat=2,
        mirostat_tau=4,
        mirostat_eta=0.2,
        adaptive_target=0.3,
        adaptive_decay=0.5,
        dry_multiplier=0.8,
        dry_base=2,
        dry_allowed_length=3,
        dry_penalty_last_n=128,
        dry_sequence_breakers=("\n", "END"),
        seed=7,
        logit_bias=((13, -100.0), (7, 1.5)),
    )


@pytest.mark.parametrize(
    ("body", "limits"),
    [
        ({"max_tokens": 3}, Limits(max_tokens=3)),
        ({"max_completion_tokens": 4}, Limits(max_tokens=4)),
        ({"max_tokens": 5, "max_completion_tokens": 5}, Limits(max_tokens=5)),
        ({"stop": "END"}, Limits(stop=("END",))),
        ({"stop": ["a", "b"]}, Limits(stop=("a", "b"))),
        ({"stop": [], "max_tokens": None}, Limits()),
        ({"ignore_eos": True}, Limits(ignore_eos=True)),
    ],
)
def test_limits_reach_the_runner(api, body, limits):
    assert _asked(api, **body).limits == limits


@pytest.mark.parametrize("content", ["a\nb", [{"type": "text", "text": t} for t in "ab"]])
def test_prediction_reaches_the_runner(api, content):
    assert _asked(api, prediction={"type": "content", "content": content}).prediction == "a\nb"


def test_seed_of_minus_one_draws_one(api):
    assert _asked(api, seed=-1).sampling.seed is None


@pytest.mark.parametrize(
    ("keep_alive", "seconds"),
    [("5m", 300.0), (90, 90.0), ("0", 0.0), (-1, float("inf")), ("-1", float("inf"))],
)
def test_keep_alive_reaches_the_runner(api, keep_alive, seconds):
    _asked(api, keep_alive=keep_alive)
    assert api.runtime.keep_alives == [seconds]


def test_conversation_is_carried_over(api):
    request = _asked(
        api,
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "index": 0,
                        "function": {"name": "weather", "arguments": '{"x": 1}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        ],
    )
    assert request.messages == (
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(role="user", content="a\nb"),
        ChatMessage(
            role="assistant", tool_calls=(ToolCall(id="c1", name="weather", arguments='{"x": 1}'),)
        ),
        ChatMessage(role="tool", content="sunny", tool_call_id="c1"),
    )


def test_tools_keep_the_order_of_their_schema(api):
    request = _asked(api, tools=[TOOL], tool_choice="none", parallel_tool_calls=False)
    (tool,) = request.tools
    assert (tool.name, tool.description) == ("weather", "Says it.")
    assert tool.parameters == '{"type":"object","properties":{"b":{},"a":{}}}'
    assert request.tool_choice is ToolChoice.NONE
    assert request.parallel_tool_calls is False


def test_template_variables_are_json(api):
    request = _asked(api, chat_template_kwargs={"enable_thinking": False})
    assert request.template_kwargs == '{"enable_thinking":false}'


def test_unknown_model_is_404_with_the_way_out(api):
    result = api.post(URL, CHAT | {"model": "ai/none"})
    assert result.status_code == 404
    error = result.json["error"]
    assert (error["param"], error["code"]) == ("model", "model_not_found")
    assert "pyrunner pull ai/none" in error["message"]


@pytest.mark.parametrize(
    ("path", "rest"), [("chat/completions", {"messages": []}), ("completions", {"prompt": ""})]
)
def test_preload_loads_and_runs_nothing(api, path, rest):
    body = {"model": "ai/tiny"} | rest
    result = api.post(f"/v1/{path}", body, headers={"X-Preload-Only": "true"})
    assert (result.status_code, result.content) == (200, b"")
    assert api.runtime.loads == [("ai/tiny", ModelMode.COMPLETION)]
    assert api.runtime.requests == []


def test_answer_gives_its_place_back_whatever_happens(api):
    gate = api.application.dependencies.admission.streams
    api.post(URL, CHAT)
    api.post(URL, CHAT | {"stream": True})
    api.post(URL, CHAT | {"model": "none"})
    api.runtime.script = (TextEvent(text="x"), ValueError("bug"))
    api.post(URL, CHAT)
    api.post(URL, CHAT | {"stream": True})
    assert gate.n_active == 0
    assert all(stream.closed.is_set() for stream in api.runtime.streams)


@pytest.mark.parametrize(
    ("body", "cache"),
    [
        ({}, CacheUse()),
        ({"cache_prompt": True}, CacheUse()),
        ({"cache_prompt": False}, CacheUse(is_shared=False)),
        ({"cache_salt": "tenant"}, CacheUse(salt="tenant")),
    ],
)
def test_use_of_the_cache_reaches_the_runner(api, body, cache):
    assert _asked(api, **body).cache == cache


def test_priority_reaches_the_runner(api):
    assert _asked(api).priority == 0
    assert _asked(api, priority=-7).priority == -7
