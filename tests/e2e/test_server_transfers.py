"""Pull, push and remote inspection over HTTP, against a real registry."""

import html
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.artifacts import add
from support.debian_registry import Registry, basic_auth, running_registry
from support.live_server import Live, running, send
from support.scripted_registry import scripted_registry
from support.waits import until

pytestmark = pytest.mark.slow

WEIGHTS = bytes(range(256)) * 8192
"""2 MiB."""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: Any) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture
def live(home: Path) -> Iterator[Live]:
    with running(home, registry_max_attempts=1) as server:
        yield server


def _transfer(live: Live, path: str, body: object, accept: str = "application/json") -> Any:
    connection = live.tcp()
    connection.request("POST", path, json.dumps(body), {"Accept": accept})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


def _lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_model_is_pushed_removed_inspected_and_pulled_back(live, registry):
    name = f"{registry.host}/team/model:v1"
    model = add(live.api.store, name, WEIGHTS)

    response, text = _transfer(live, f"/models/{name}/push", {})
    assert (response.status, response.getheader("Content-Type")) == (200, "application/json")
    lines = _lines(text)
    assert {line["mode"] for line in lines} == {"push"}
    assert lines[-1]["type"] == "success"
    assert lines[-1]["message"] == "Model pushed successfully"
    assert max(line["total"] for line in lines) == len(WEIGHTS)

    live.api.store.remove(name)
    connection = live.tcp()
    connection.request("GET", f"/models/{name}?remote=true")
    remote = json.load(connection.getresponse())
    connection.close()
    assert (remote["id"], "tags" in remote) == (model.id, False)
    assert live.api.store.list() == []

    response, text = _transfer(live, "/models/create", {"from": name})
    assert response.status == 200
    assert response.getheader("Cache-Control") == "no-cache"
    lines = _lines(text)
    assert {line["type"] for line in lines} == {"progress", "success"}
    assert lines[-1]["message"] == "Model pulled successfully"
    assert max(line["layer"]["current"] for line in lines) == len(WEIGHTS)
    assert live.api.store.find(name).id == model.id

    _, text = _transfer(live, "/models/create", {"from": name})
    assert _lines(text)[-1]["message"].startswith("Using cached model: ")


def test_old_clients_get_escaped_text(live, registry):
    name = f"{registry.host}/team/old:v1"
    add(live.api.store, name, WEIGHTS)
    response, text = _transfer(live, f"/models/{name}/push", {}, accept="*/*")
    assert response.getheader("Content-Type") == "text/plain; charset=utf-8"
    assert '"' not in text
    assert _lines(html.unescape(text))[-1]["type"] == "success"


def test_model_that_the_registry_does_not_have_is_404(live, registry):
    response, text = _transfer(live, "/models/create", {"from": f"{registry.host}/no/such"})
    assert (response.status, text) == (404, "Model not found\n")
    connection = live.tcp()
    connection.request("GET", f"/models/{registry.host}/no/such?remote=true")
    response = connection.getresponse()
    assert response.status == 404
    assert "MANIFEST_UNKNOWN - Model not found" in response.read().decode()
    connection.close()


def test_registry_that_wants_credentials_is_401(live, tmp_path):
    with running_registry(tmp_path, auth=basic_auth(tmp_path)) as closed:
        response, text = _transfer(live, "/models/create", {"from": f"{closed.host}/a/b"})
    assert response.status == 401
    assert text.startswith("Unauthorized")
    assert "pyrunner login" in text


def test_token_in_the_body_opens_its_registry_and_is_told_nobody(live, guarded, tokens, caplog):
    name = f"{guarded.host}/team/lent:v1"
    model = add(live.api.store, name, WEIGHTS)
    token = tokens.give("repository:team/lent:pull,push")
    response, _ = _transfer(live, f"/models/{name}/push", {"bearer-token": token})
    assert response.status == 200
    live.api.store.remove(name)
    tokens.asked.clear()
    response, text = _transfer(live, "/models/create", {"from": name, "bearer-token": token})
    assert (response.status, _lines(text)[-1]["type"]) == (200, "success")
    assert live.api.store.find(name).id == model.id
    assert tokens.asked == []

    _, text = _transfer(live, f"/models/{name}/push", {})
    assert _lines(text)[-1]["type"] == "error", text
    assert text.count("refused access") == 1, text
    stranger = tokens.give("repository:team/another:pull,push")
    other = f"{guarded.host}/team/lent:v2"
    response, text = _transfer(live, "/models/create", {"from": other, "bearer-token": stranger})
    assert response.status == 401
    assert stranger not in text + caplog.text
    assert token not in caplog.text


def test_token_in_the_body_that_is_refused_is_401_and_no_token_server_is_asked(live, tokens):
    with scripted_registry() as refusing:
        challenge = {"WWW_Authenticate": f'Bearer realm="{tokens.url}",service="s"'}
        refusing.faults["manifests"] = [lambda handler: handler.reply(401, b"", **challenge)] * 9
        tokens.asked.clear()
        body = {"from": f"{refusing.host}/team/model:v1", "bearer-token": "secret"}
        response, text = _transfer(live, "/models/create", body)
        sent = [headers.get("Authorization") for _, _, headers in refusing.requests]
    assert (response.status, "secret" in text) == (401, False)
    assert (sent, tokens.asked) == ([None, "Bearer secret"], [])


def test_failure_after_the_first_progress_is_the_last_line(live):
    with scripted_registry() as hostile:
        name = f"{hostile.host}/team/model:v1"
        model = add(live.api.store, name, WEIGHTS)
        assert _transfer(live, f"/models/{name}/push", {})[0].status == 200
        live.api.store.remove(name)
        weights = model.manifest.layers[0].digest
        hostile.faults[weights] = [lambda handler: handler.reply(200, b"x" * len(WEIGHTS))] * 9
        response, text = _transfer(live, "/models/create", {"from": name})
    assert response.status == 200
    lines = _lines(text)
    assert lines[0]["type"] == "progress"
    assert lines[-1]["type"] == "error"
    assert lines[-1]["message"].startswith("Error: Received")
    assert live.api.store.list() == []


def test_client_gone_in_mid_pull_stops_it_and_the_next_one_continues(live):
    with scripted_registry() as slow:
        name = f"{slow.host}/team/model:v1"
        model = add(live.api.store, name, WEIGHTS)
        assert _transfer(live, f"/models/{name}/push", {})[0].status == 200
        live.api.store.remove(name)
        weights = model.manifest.layers[0].digest
        stopped = threading.Event()
        slow.faults[f"GET /v2/team/model/blobs/{weights}"] = [_dribble(stopped)]
        connection = live.tcp()
        send(connection, "/models/create", {"from": name})
        response = connection.getresponse()
        until(lambda: b"Downloaded" in response.readline())
        response.close()
        connection.close()
        assert stopped.wait(10.0)
        admission = live.api.application.dependencies.admission
        until(lambda: admission.transfers.n_active == 0)
        _, text = _transfer(live, "/models/create", {"from": name})
        assert _lines(text)[-1]["type"] == "success"
        ranges = [each.get("Range") for each in slow.headers_of("GET", weights)]
    assert ranges[-1] is not None


def _dribble(stopped: threading.Event) -> Any:
    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(WEIGHTS)))
        handler.end_headers()
        tick = threading.Event()
        try:
            for start in range(0, len(WEIGHTS), 4096):
                handler.wfile.write(WEIGHTS[start : start + 4096])
                tick.wait(0.02)
        except OSError:
            stopped.set()

    return answer
