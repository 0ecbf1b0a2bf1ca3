"""Bodies that are garbage, on every route that reads one."""

import pytest
from support.api import make_api

DEEP = b"[" * 100_000 + b"]" * 100_000
ROUTES = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        b'{"model": "ai/tiny"} trailing',
        b'{"model": "\xff"}',
        b'{"model": "\\ud800"}',
        b'{"model": NaN}',
        b'{"model": 1e999}',
        b'{"model": "ai/tiny", "metadata": ' + DEEP + b"}",
        b'{"x": ' * 100_000,
        b"\x00" * 1000,
        b'{"model": "ai/tiny", "seed": ' + b"9" * 5000 + b"}",
        b'{"' + b"x" * 100_000 + b'": 1}',
    ],
    ids=range(16),
)
def test_garbage_is_400_in_the_envelope(api, route, body):
    result = api.client.simulate_post(route, body=body)
    assert result.status_code == 400
    error = result.json["error"]
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) < 600
    assert api.runtime.requests == []


@pytest.mark.parametrize("route", ["/models/create", "/engines/unload", "/models/x/push"])
@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', DEEP], ids=["cut", "list", "text", "deep"])
def test_garbage_is_400_in_text_on_docker_routes(api, route, body):
    result = api.client.simulate_post(route, body=body)
    assert result.status_code == 400
    assert result.text.startswith("invalid request")


def test_body_over_the_limit_is_not_read(tmp_path):
    api = make_api(tmp_path, server_max_body_bytes=2000)
    body = b'{"model": "' + b"x" * 3000 + b'"}'
    result = api.client.simulate_post("/v1/chat/completions", body=body)
    assert result.status_code == 400
    assert "too large: the limit is 2000 bytes" in result.json["error"]["message"]


def test_body_longer_than_it_says_is_cut_there(api):
    result = api.client.simulate_post(
        "/v1/chat/completions", body=b"{" * 5000, headers={"Content-Length": "10"}
    )
    assert result.status_code == 400


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/models/create", {"from": "ai/tiny", "form": "x"}),
        ("/models/ai/tiny/push", {"bearer": "x"}),
        ("/models/ai/tiny/repackage", {"target": "ai/x", "context-size": 5}),
        ("/engines/unload", {"all": True, "model": "ai/tiny"}),
    ],
)
def test_unknown_key_on_docker_routes_is_400_that_names_it(api, path, body):
    result = api.post(path, body)
    assert result.status_code == 400
    assert f"'{list(body)[-1]}' is not a known parameter" in result.text


@pytest.mark.parametrize("token", ["", None])
def test_empty_bearer_token_of_dockers_client_is_accepted(api, token):
    result = api.post("/models/create", {"from": "a b", "bearer-token": token})
    assert result.text.startswith("Invalid model reference")
