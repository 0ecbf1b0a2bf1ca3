"""HTTP down to worker processes: everything is real but the model."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from support.live_server import PATIENCE_S, events, send, served
from support.waits import until
from support.workshop import Workshop, kill, pids

from pyrunner.models import catalog
from pyrunner.runtime.api import Runtime
from pyrunner.server.admission import Admission
from pyrunner.server.app import create_application
from pyrunner.server.dependencies import Dependencies

pytestmark = pytest.mark.slow

FREED_S = 0.15
"""How soon the lane of a vanished client has to be free."""


@dataclass(frozen=True)
class Site:
    """A server over real workers."""

    runtime: Runtime
    port: int

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        connection = self.connect()
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text) if text[:1] in b"[{" and text else text.decode()


@pytest.fixture
def site(home: Path) -> Iterator[Site]:
    with Workshop(home) as shop:
        shop.add("ai/a", "ai/b")
        settings = shop.settings(server__port=0)
        runtime = shop.runtime()
        dependencies = Dependencies(
            settings=settings,
            runtime=runtime,
            store=shop.store,
            open_client=partial(catalog.open_client, settings),
            admission=Admission(n_streams=settings.server.n_streams),
        )
        application = create_application(dependencies)
        with served(settings, application=application) as (server, _):
            assert server.listening.url is not None
            yield Site(runtime, int(server.listening.url.rpartition(":")[2]))


def _chat(text: str, **more: object) -> dict[str, object]:
    return {"model": "ai/a", "messages": [{"role": "user", "content": text}]} | more


def _is_idle(site: Site) -> bool:
    return all(each.n_in_flight == 0 for each in site.runtime.running())


def test_first_chat_loads_the_model_and_ps_shows_it(site):
    status, answer = site.ask("POST", "/v1/chat/completions", _chat("hello", max_tokens=3))
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "w0 w1 w2 "
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3
    _, (line,) = site.ask("GET", "/engines/ps")
    assert line["model_name"] == "docker.io/ai/a:latest"
    assert line["mode"] == "completion"
    assert line["pid"] in pids(site.runtime)


def test_unload_makes_the_worker_leave(site):
    site.ask("POST", "/v1/chat/completions", _chat("hello", max_tokens=1))
    assert site.ask("POST", "/engines/unload", {"models": ["a"]}) == (200, {"unloaded_runners": 1})
    assert site.ask("GET", "/engines/ps") == (200, [])


def test_preload_loads_in_the_mode_of_the_route(site):
    preload = {"X-Preload-Only": "true"}
    body = {"model": "ai/a", "messages": []}
    assert site.ask("POST", "/v1/chat/completions", body, **preload) == (200, "")
    body = {"model": "ai/b", "input": "x"}
    assert site.ask("POST", "/v1/embeddings", body, **preload) == (200, "")
    _, lines = site.ask("GET", "/engines/ps")
    assert sorted(line["mode"] for line in lines) == ["completion", "embedding"]


def test_embeddings_come_from_their_own_worker(site):
    _, answer = site.ask("POST", "/v1/embeddings", {"model": "ai/a", "input": ["abc", [1, 2]]})
    assert [len(each["embedding"]) for each in answer["data"]] == [2, 2]
    assert answer["usage"] == {"prompt_tokens": 5, "total_tokens": 5}


@pytest.mark.parametrize("is_streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("text", ["hello", "slow"], ids=["decoding", "prompt"])
def test_client_gone_frees_the_lane(site, is_streamed, text):
    site.ask("POST", "/v1/chat/completions", _chat("hello", max_tokens=1))
    connection = site.connect()
    send(connection, "/v1/chat/completions", _chat(text, stream=is_streamed))
    until(lambda: not _is_idle(site))
    connection.close()
    gone = monotonic()
    until(lambda: _is_idle(site))
    assert monotonic() - gone < FREED_S


def test_killed_worker_ends_its_stream_and_no_other_and_comes_back(site):
    site.ask("POST", "/v1/chat/completions", _chat("hello", max_tokens=1))
    (pid,) = pids(site.runtime)
    doomed, other = site.connect(), site.connect()
    send(doomed, "/v1/chat/completions", _chat("hello", stream=True))
    doomed_events = events(doomed.getresponse())
    next(doomed_events)
    send(other, "/v1/chat/completions", _chat("hello", stream=True, max_tokens=50, model="ai/b"))
    other_events = events(other.getresponse())
    next(other_events)
    kill(pid)
    *_, last = doomed_events
    assert last["error"]["code"] == "worker_crashed"
    *_, finished = other_events
    assert finished["choices"][0]["finish_reason"] == "length"
    status, _ = site.ask("POST", "/v1/chat/completions", _chat("hello", max_tokens=1))
    assert status == 200
    assert pid not in pids(site.runtime)
    doomed.close()
    other.close()


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [("refuse", 400, "invalid_parameter"), ("bang", 400, "template_error")],
)
def test_error_of_the_worker_keeps_its_status(site, text, status, code):
    answer = site.ask("POST", "/v1/chat/completions", _chat(text, stream=True))
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)


def test_keep_alive_of_zero_unloads_after_the_answer(site):
    body = _chat("hello", max_tokens=2, keep_alive=0)
    status, answer = site.ask("POST", "/v1/chat/completions", body)
    assert (status, answer["usage"]["completion_tokens"]) == (200, 2)
    until(lambda: site.ask("GET", "/engines/ps") == (200, []))


def test_model_not_in_the_store_is_404(site):
    status, answer = site.ask("POST", "/v1/chat/completions", _chat("hello", model="ai/none"))
    assert (status, answer["error"]["code"]) == (404, "model_not_found")


def test_model_name_that_is_no_reference_is_400(site):
    status, answer = site.ask("POST", "/v1/chat/completions", _chat("hello", model="a b"))
    assert (status, answer["error"]["code"]) == (400, "invalid_reference")


def test_logs_of_server_and_worker_are_served_together(site):
    site.ask("POST", "/v1/chat/completions", _chat("hello", max_tokens=1, model="ai/none"))
    site.ask("POST", "/v1/chat/completions", _chat("hello", max_tokens=1))
    status, text = site.ask("GET", "/logs")
    assert status == 200
    assert "pyrunner.worker" in text
    _, text = site.ask("GET", "/logs?no-engines=true")
    assert "pyrunner.worker" not in text
