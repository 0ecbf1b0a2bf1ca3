"""Text completions, embeddings and rankings."""

import base64
import json

import pytest
from support.scripted_runtime import FINISH

from pyrunner.types import ModelMode, RerankRequest, TextEvent

TEXT = {"model": "ai/tiny", "prompt": "Once"}
EMBED = {"model": "ai/tiny", "input": "x"}
RERANK = {"model": "ai/tiny", "query": "q", "documents": ["a", "bbb", "cc"]}


def test_completion_is_openais_document(api):
    result = api.post("/v1/completions", TEXT)
    assert result.json["object"] == "text_completion"
    assert result.json["id"].startswith("cmpl-")
    assert result.json["choices"] == [
        {"index": 0, "text": "Hello", "logprobs": None, "finish_reason": "stop"}
    ]
    assert result.json["usage"]["total_tokens"] == 14
    assert result.json["timings"]["prompt_n"] == 8


def test_completion_is_streamed(api):
    body = TEXT | {"stream": True, "stream_options": {"include_usage": True}}
    lines = api.post("/v1/completions", body).text.strip().split("\n\n")
    assert lines.pop() == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert [chunk["choices"][0]["text"] for chunk in chunks[:-1]] == ["Hel", "lo", ""]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["prompt_tokens"] == 12


@pytest.mark.parametrize(
    ("prompt", "carried"),
    [("Once", "Once"), (["Once"], "Once"), ([1, 2], (1, 2)), ([[1, 2]], (1, 2)), ([0], (0,))],
)
def test_prompt_of_every_kind_reaches_the_runner(api, prompt, carried):
    assert api.post("/v1/completions", TEXT | {"prompt": prompt}).status_code == 200
    assert api.runtime.requests[-1].prompt == carried


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"prompt": ["a", "b"]}, "prompt", "unsupported_parameter"),
        ({"prompt": [[1], [2]]}, "prompt", "unsupported_parameter"),
        ({"prompt": ""}, "prompt", "invalid_parameter"),
        ({"prompt": []}, "prompt", "invalid_parameter"),
        ({"prompt": [[]]}, "prompt", "invalid_parameter"),
        ({"prompt": [-1]}, "prompt", "invalid_parameter"),
        ({"prompt": [2**31]}, "prompt", "invalid_parameter"),
        ({"prompt": [True]}, "prompt", "invalid_parameter"),
        ({"prompt": [1, "a"]}, "prompt", "invalid_parameter"),
        ({"prompt": 5}, "prompt", "invalid_parameter"),
        ({"echo": True}, "echo", "unsupported_parameter"),
        ({"suffix": "end"}, "suffix", "unsupported_parameter"),
        ({"best_of": 2}, "best_of", "unsupported_parameter"),
        ({"logprobs": 6}, "logprobs", "invalid_parameter"),
        ({"logprobs": -1}, "logprobs", "invalid_parameter"),
        ({"logprobs": True}, "logprobs", "invalid_parameter"),
        ({"top_logprobs": 3}, "top_logprobs", "unsupported_parameter"),
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"messages": []}, "messages", "invalid_parameter"),
    ],
)
def test_completion_refuses_by_name(api, body, param, code):
    result = api.post("/v1/completions", TEXT | body)
    assert result.status_code == 400
    assert (result.json["error"]["param"], result.json["error"]["code"]) == (param, code)


def test_completion_accepts_what_changes_nothing(api):
    body = {"echo": False, "suffix": "", "best_of": 1, "logprobs": None, "n": 1}
    assert api.post("/v1/completions", TEXT | body).status_code == 200


def test_completion_ends_early_when_the_runner_fails(api):
    api.runtime.script = (TextEvent(text="x"), ValueError("bug"), FINISH)
    assert api.post("/v1/completions", TEXT).status_code == 500


def test_embeddings_are_openais_document(api):
    result = api.post("/v1/embeddings", EMBED | {"input": ["a", "b"]})
    assert result.json == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [1.0, 0.0, -0.5]},
            {"object": "embedding", "index": 1, "embedding": [1.0, 0.0, -0.5]},
        ],
        "model": "ai/tiny",
        "usage": {"prompt_tokens": 10, "total_tokens": 10},
    }
    assert api.runtime.loads == [("ai/tiny", ModelMode.EMBEDDING)]


def test_embeddings_as_base64_are_the_floats_themselves(api):
    result = api.post("/v1/embeddings", EMBED | {"encoding_format": "base64"})
    data = base64.b64decode(result.json["data"][0]["embedding"])
    assert data == b"\x00\x00\x80\x3f\x00\x00\x00\x00\x00\x00\x00\xbf"


@pytest.mark.parametrize(
    ("given", "carried"),
    [
        ("x", ("x",)),
        (["x", "y"], ("x", "y")),
        ([1, 2], ((1, 2),)),
        ([[1], [2, 3]], ((1,), (2, 3))),
    ],
)
def test_input_of_every_kind_reaches_the_runner(api, given, carried):
    assert api.post("/v1/embeddings", EMBED | {"input": given}).status_code == 200
    assert api.runtime.requests[-1].inputs == carried


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"dimensions": 64}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"stream": True}, "stream"),
    ],
)
def test_embeddings_refuse_by_name(api, body, param):
    result = api.post("/v1/embeddings", EMBED | body)
    assert result.status_code == 400
    assert result.json["error"]["param"] == param


def test_embeddings_preload_in_their_own_mode(api):
    result = api.post("/v1/embeddings", EMBED, headers={"X-Preload-Only": "true"})
    assert (result.status_code, result.content) == (200, b"")
    assert api.runtime.loads == [("ai/tiny", ModelMode.EMBEDDING)]


@pytest.mark.parametrize(
    "path", ["/rerank", "/v1/rerank", "/engines/rerank", "/engines/llama.cpp/rerank"]
)
def test_documents_come_best_first(api, path):
    result = api.post(path, RERANK)
    assert result.json == {
        "object": "list",
        "results": [
            {"index": 1, "relevance_score": 3.0},
            {"index": 2, "relevance_score": 2.0},
            {"index": 0, "relevance_score": 1.0},
        ],
        "model": "ai/tiny",
        "usage": {"prompt_tokens": 15, "total_tokens": 15},
    }
    assert api.runtime.loads == [("ai/tiny", ModelMode.RERANKING)]
    assert api.runtime.requests == [RerankRequest(query="q", documents=("a", "bbb", "cc"))]


def test_of_equal_documents_the_first_comes_first(api):
    result = api.post("/rerank", RERANK | {"documents": ["a", "bb", "c"], "top_n": 2})
    assert [each["index"] for each in result.json["results"]] == [1, 0]


def test_documents_are_returned_where_that_is_asked_for(api):
    given = ["a", {"text": "bbb"}]
    result = api.post("/rerank", RERANK | {"documents": given, "return_documents": True})
    assert [each["document"] for each in result.json["results"]] == [{"text": "bbb"}, {"text": "a"}]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": ["q"]}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": ["a"] * 2049}, "documents"),
        ({"documents": [{"title": "a"}]}, "documents"),
        ({"top_n": 0}, "top_n"),
        ({"texts": ["a"]}, "texts"),
        ({"max_tokens_per_doc": 100}, "max_tokens_per_doc"),
        ({"stream": True}, "stream"),
    ],
)
def test_rankings_refuse_by_name(api, body, param):
    result = api.post("/rerank", RERANK | body)
    assert result.status_code == 400
    assert param in result.json["error"]["param"]


def test_a_ranking_preloads_in_its_own_mode(api):
    result = api.post("/rerank", RERANK, headers={"X-Preload-Only": "true"})
    assert (result.status_code, result.content) == (200, b"")
    assert api.runtime.loads == [("ai/tiny", ModelMode.RERANKING)]


def test_a_ranking_by_an_unknown_backend_is_a_404(api):
    assert api.post("/engines/vllm/rerank", RERANK).status_code == 404
