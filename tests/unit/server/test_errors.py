"""One table from errors to HTTP."""

import falcon
import pytest
from falcon import testing
from support.api import CHAT, Api

from pyrunner import errors
from pyrunner.errors import (
    InvalidReferenceError,
    MemoryBudgetError,
    ModelLoadError,
    ModelLoadingError,
    StoreLockedError,
    WorkerCrashedError,
)
from pyrunner.server.errors import TABLE


def test_every_leaf_has_a_row_and_every_row_is_a_leaf():
    assert set(TABLE) == set(errors.LEAVES.values())


def _fail(api: Api, error: Exception) -> testing.Result:
    def load(_is_cancelled: object) -> None:
        raise error

    api.runtime.on_load = load
    return api.post("/v1/chat/completions", CHAT)


def test_openai_route_answers_the_envelope(api):
    result = _fail(api, ModelLoadError(path="m.gguf", problem="bad magic"))
    assert result.status_code == 500
    assert result.json == {
        "error": {
            "message": "The model m.gguf could not be loaded: bad magic. "
            "Pull it again, or use another version of it.",
            "type": "server_error",
            "param": None,
            "code": "model_load_failed",
        }
    }


def test_bad_reference_has_the_offset_of_its_character_in_the_envelope(api):
    result = _fail(api, InvalidReferenceError(text="ai/x:$", at=5, problem="it is none"))
    assert result.status_code == 400
    assert result.json["error"] == {
        "message": "Invalid model reference 'ai/x:$' at character 6: it is none",
        "type": "invalid_request_error",
        "param": "model",
        "code": "invalid_reference",
        "at": 5,
    }


@pytest.mark.parametrize("path", ["/v1/models/no/such", "/models/no/such"], ids=["json", "text"])
def test_every_error_carries_its_code_in_a_header(api, path):
    result = api.get(path)
    assert result.status_code == 404
    assert result.headers["x-error-code"] == "model_not_found"


@pytest.mark.parametrize("prefix", ["/v1", ""], ids=["json", "text"])
@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/nope", {}, "not_found"),
        ("/models", {"Host": "evil.example"}, "host_not_allowed"),
        ("/models", {"Origin": "https://evil.example"}, "origin_not_allowed"),
    ],
)
def test_refusals_before_a_route_carry_their_code(api, prefix, path, headers, code):
    result = api.get(prefix + path, headers=headers)
    assert result.headers["x-error-code"] == code
    assert (f'"code":"{code}"' in result.text) is bool(prefix)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/models/create"], ids=["json", "text"])
def test_bug_carries_its_code(api, monkeypatch, path):
    monkeypatch.setattr("pyrunner.server.body.msgspec", None)
    assert api.post(path, CHAT).headers["x-error-code"] == "internal"


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "/models/x/tag", None, "invalid_parameter"),
        ("POST", "/models/x/unknown", None, "not_found"),
        ("POST", "/models/x/repackage", b"{}", "invalid_parameter"),
        ("GET", "/logs?follow=maybe", None, "invalid_parameter"),
        ("GET", "/logs", None, "not_found"),
    ],
)
def test_refusals_in_a_routes_own_words_carry_a_code(api, method, path, body, code):
    result = api.client.simulate_request(method, path, body=body)
    assert result.headers["x-error-code"] == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (falcon.HTTPBadRequest(), "bad_request"),
        (falcon.HTTPContentTooLarge(), "body_too_large"),
        (falcon.HTTPServiceUnavailable(), "internal"),
    ],
    ids=["400", "413", "503"],
)
def test_code_of_an_error_of_falcon_follows_its_status(api, error, code):
    result = _fail(api, error)
    assert result.json["error"]["code"] == result.headers["x-error-code"] == code


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (MemoryBudgetError(needed_bytes=2, free_bytes=1, budget_bytes=1), "5"),
        (ModelLoadingError(reference="ai/tiny", retry_after_s=7), "7"),
        (StoreLockedError(path="x", timeout_s=30), "1"),
    ],
    ids=["budget", "loading", "locked"],
)
def test_busy_is_503_with_retry_after(api, error, retry_after):
    result = _fail(api, error)
    assert result.status_code == 503
    assert result.headers["retry-after"] == retry_after


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (WorkerCrashedError(reference="ai/tiny", how="signal 9"), "true"),
        (ModelLoadError(path="m", problem="p"), "false"),
        (ZeroDivisionError("secret"), "false"),
    ],
    ids=["retryable", "final", "bug"],
)
def test_openai_clients_are_told_whether_to_try_again(api, error, expected):
    assert _fail(api, error).headers["x-should-retry"] == expected


def test_bug_is_500_without_details_and_logged_with_them(api, caplog):
    result = _fail(api, ZeroDivisionError("secret"))
    assert result.status_code == 500
    assert result.json["error"]["code"] == "internal"
    assert "secret" not in result.text
    assert "secret" in caplog.text


def test_invariant_error_is_a_bug_and_not_a_known_error(api):
    assert _fail(api, errors.InvariantError("secret")).json["error"]["code"] == "internal"


def test_cancelled_stream_of_the_worker_is_shutting_down(api):
    import msgspec
    from support.scripted_runtime import FINISH

    from pyrunner.types import FinishReason

    api.runtime.script = (msgspec.structs.replace(FINISH, reason=FinishReason.CANCELLED),)
    result = api.post("/v1/chat/completions", CHAT)
    assert result.status_code == 503
    assert result.json["error"]["code"] == "shutting_down"


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "/nope", "404 page not found\n"),
        ("PUT", "/healthz", "404 page not found\n"),
        ("POST", "/logs", "404 page not found\n"),
        ("PUT", "/models", "not found\n"),
        ("POST", "/models/x", "not found\n"),
        ("GET", "/engines/nope", "not found\n"),
        ("POST", "/engines/ps", "not found\n"),
        ("GET", "/engines", "not found\n"),
    ],
)
def test_unknown_route_and_wrong_method_are_404_text(api, method, path, text):
    result = api.client.simulate_request(method, path)
    assert (result.status_code, result.text) == (404, text)
    assert result.headers["content-type"] == "text/plain; charset=utf-8"
    assert result.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/audio/speech"),
        ("GET", "/engines/v1/nope"),
        ("GET", "/engines/llama.cpp/v1"),
    ],
)
def test_unknown_openai_route_is_404_in_the_envelope(api, method, path):
    result = api.client.simulate_request(method, path)
    assert result.status_code == 404
    assert "not found" in result.json["error"]["message"]


def test_unknown_backend_is_404(api):
    for path in ("chat/completions", "completions", "embeddings"):
        result = api.post(f"/engines/vllm/v1/{path}", CHAT)
        assert result.status_code == 404
        assert result.json["error"]["code"] == "backend_not_found"
    for path in ("models", "models/x"):
        assert api.get(f"/engines/vllm/v1/{path}").status_code == 404
