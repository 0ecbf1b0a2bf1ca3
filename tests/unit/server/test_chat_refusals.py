"""Chat parameters: which are accepted without effect, and which are refused by name."""

from typing import Any

import pytest
from support.api import CHAT, Api

URL = "/v1/chat/completions"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
    },
}


def _refused(api: Api, **body: object) -> Any:
    result = api.post(URL, CHAT | body)
    assert result.status_code == 400, result.text
    return result.json["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"user": "me", "metadata": {"a": "b"}, "service_tier": "auto", "store": False},
        {"service_tier": "default", "store": None, "stream_options": None},
        {"n": 1, "logprobs": False, "top_logprobs": 0, "response_format": {"type": "text"}},
        {"modalities": ["text"], "function_call": "none", "cache_prompt": True},
        {"prompt_cache_key": "k", "safety_identifier": "s", "parallel_tool_calls": True},
        {"response_format": None, "audio": None, "logit_bias": None, "tools": None},
    ],
)
def test_harmless_parameters_are_accepted(api, body):
    assert api.post(URL, CHAT | body).status_code == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"tools": [TOOL], "response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [TOOL], "grammar": "root ::= x"}, "grammar"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        (
            {
                "tools": [TOOL],
                "tool_choice": "required",
                "response_format": {"type": "json_object"},
            },
            "response_format",
        ),
        ({"functions": []}, "functions"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"store": True}, "store"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"n_predict": 5}, "n_predict"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0].type",
        ),
    ],
)
def test_unsupported_parameter_is_named(api, body, param):
    error = _refused(api, **body)
    assert error["param"] == param
    assert error["code"] == "unsupported_parameter"
    assert f"'{param}' is not supported yet" in error["message"]
    assert api.runtime.requests == []


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"temprature": 1}, "temprature", "did you mean 'temperature'?"),
        ({"responseformat": 1}, "responseformat", "did you mean 'response_format'?"),
        ({"zzz": 1}, "zzz", "is not a known parameter"),
        ({"tools": [TOOL, TOOL]}, "tools[1].function.name", "another tool's name"),
        ({"chat_template_kwargs": {"x": 1, "messages": []}}, "chat_template_kwargs.messages", "it"),
        ({"temperature": 10.5}, "temperature", "<= 10"),
        ({"temperature": -0.1}, "temperature", ">= 0"),
        ({"temperature": "hot"}, "temperature", "expected `float | null`, got `str`"),
        ({"temperature": True}, "temperature", "got `bool`"),
        ({"top_p": 1.1}, "top_p", "<= 1"),
        ({"min_p": -1}, "min_p", ">= 0"),
        ({"typical_p": 2}, "typical_p", "<= 1"),
        ({"top_k": -1}, "top_k", ">= 0"),
        ({"top_k": 1.5}, "top_k", "expected `int | null`"),
        ({"repeat_penalty": 0}, "repeat_penalty", ">= 0.01"),
        ({"repeat_last_n": 32769}, "repeat_last_n", "<= 32768"),
        ({"dynatemp_range": -1}, "dynatemp_range", ">= 0"),
        ({"dynatemp_exponent": 11}, "dynatemp_exponent", "<= 10"),
        ({"top_n_sigma": -2}, "top_n_sigma", ">= -1"),
        ({"xtc_probability": 1.1}, "xtc_probability", "<= 1"),
        ({"xtc_threshold": -1}, "xtc_threshold", ">= 0"),
        ({"mirostat": 3}, "mirostat", "<= 2"),
        ({"mirostat": 1.5}, "mirostat", "expected `int | null`"),
        ({"mirostat_tau": 21}, "mirostat_tau", "<= 20"),
        ({"mirostat_eta": 2}, "mirostat_eta", "<= 1"),
        ({"adaptive_target": -1.5}, "adaptive_target", ">= -1"),
        ({"adaptive_decay": 1}, "adaptive_decay", "<= 0.99"),
        ({"dry_multiplier": -1}, "dry_multiplier", ">= 0"),
        ({"dry_base": 0.5}, "dry_base", ">= 1"),
        ({"dry_allowed_length": -1}, "dry_allowed_length", ">= 0"),
        ({"dry_penalty_last_n": -1}, "dry_penalty_last_n", ">= 0"),
        ({"dry_sequence_breakers": "x"}, "dry_sequence_breakers", "expected `array | null`"),
        ({"dry_sequence_breakers": ["x"] * 17}, "dry_sequence_breakers", "length <= 16"),
        ({"dry_sequence_breakers": ["x", ""]}, "dry_sequence_breakers[1]", "length >= 1"),
        ({"presence_penalty": 2.1}, "presence_penalty", "<= 2"),
        ({"frequency_penalty": -2.1}, "frequency_penalty", ">= -2"),
        ({"seed": 2**32 - 1}, "seed", "<= 4294967294"),
        ({"seed": -2}, "seed", ">= -1"),
        ({"cache_salt": ""}, "cache_salt", "length >= 1"),
        ({"priority": 1001}, "priority", "<= 1000"),
        ({"priority": -1001}, "priority", ">= -1000"),
        ({"priority": 0.5}, "priority", "int"),
        ({"cache_salt": "x" * 257}, "cache_salt", "length <= 256"),
        ({"max_tokens": 0}, "max_tokens", ">= 1"),
        ({"max_tokens": 2**64}, "max_tokens", "<= 2147483647"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", ">= 1"),
        ({"max_completion_tokens": 2**31}, "max_completion_tokens", "<= 2147483647"),
        ({"messages": [{"role": "user", "content": "hi"}] * 2049}, "messages", "length <= 2048"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "contradicts"),
        ({"stop": ""}, "stop", "length >= 1"),
        ({"stop": "x" * 1001}, "stop", "length <= 1000"),
        ({"stop": ["x"] * 17}, "stop", "length <= 16"),
        ({"stop": ["x", ""]}, "stop[1]", "length >= 1"),
        ({"stop": 5}, "stop", "got `int`"),
        ({"prediction": {}}, "prediction.type", "is required"),
        ({"prediction": {"type": "content"}}, "prediction.content", "is required"),
        ({"prediction": {"type": "content", "content": 5}}, "prediction.content", "got `int`"),
        (
            {"prediction": {"type": "content", "content": [{"type": "text"}]}},
            "prediction.content[0].text",
            "has to be a text",
        ),
        ({"logprobs": 1}, "logprobs", "expected `bool`"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "<= 20"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs", ">= 0"),
        ({"top_logprobs": 3}, "top_logprobs", "needs 'logprobs': true"),
        ({"logprobs": False, "top_logprobs": 1}, "top_logprobs", "needs 'logprobs': true"),
        ({"logit_bias": {"7": 101}}, "logit_bias[...]", "<= 100"),
        ({"logit_bias": {"x": 1}}, "logit_bias", "a key that is not valid: expected `int`"),
        ({"stream": "yes"}, "stream", "expected `bool`"),
        ({"stream_options": {"usage": True}}, "stream_options.usage", "not a known parameter"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "needs 'stream': true"),
        ({"stream": False, "stream_options": {}}, "stream_options", "needs 'stream': true"),
        ({"keep_alive": "soon"}, "keep_alive", "write a duration"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "is required"),
        (
            {"tools": [{"type": "magic", "function": {"name": "f"}}]},
            "tools[0].type",
            "is 'magic'; it may be function",
        ),
        (
            {"messages": [{"role": "boss", "content": "hi"}]},
            "messages[0].role",
            "is 'boss'; it may be assistant, developer, system, tool, user",
        ),
        (
            {"response_format": {"type": "xml"}},
            "response_format.type",
            "it may be json_object, json_schema, text",
        ),
        ({"tools": [{"function": {"name": "f", "parameters": []}}]}, None, "expected `object"),
        ({"messages": []}, "messages", "at least one"),
        ({"messages": "hi"}, "messages", "expected `array`"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "is required"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "messages[0].role", "boss"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "is required"),
        ({"messages": [{"role": "user", "contnet": "x"}]}, "messages[0].contnet", "not a known"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "has to be a text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
            "messages[0].content[0].type",
            "has to be 'text'",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "x", "tool_calls": [{"function": {"name": "f"}}]}
                ]
            },
            "messages[0].tool_calls",
            "assistant messages only",
        ),
        ({"model": ""}, "model", "length >= 1"),
        ({"model": None}, "model", "is required"),
        ({"model": 5}, "model", "expected `str`"),
    ],
)
def test_wrong_value_is_one_sentence_that_names_it(api, body, param, says):
    error = _refused(api, **body)
    assert param is None or error["param"] == param
    assert says in error["message"]
    assert "\n" not in error["message"]
    assert api.runtime.requests == []
