"""Pulls and pushes: threads, slots, progress lines; the registry's part is tested elsewhere."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest
from support.api import make_api

from pyrunner.errors import (
    QueueFullError,
    RegistryUnavailableError,
    RequestCancelledError,
    ShuttingDownError,
)
from pyrunner.models.progress import OnProgress, ProgressEvent
from pyrunner.server.admission import Admission
from pyrunner.server.docker.progress import ProgressBody
from pyrunner.server.docker.transfers import Transfers
from pyrunner.server.waiting import ClientWatch

PATIENCE_S = 10.0
DONE = ProgressEvent(type="success", message="Model pulled successfully", mode="pull")
FAILED = RegistryUnavailableError(registry="reg.example", problem="it <broke>")


def _progress(current: int) -> ProgressEvent:
    return ProgressEvent(
        type="progress",
        message="Downloaded",
        mode="pull",
        total=10,
        layer_id="sha256:aa",
        layer_size=10,
        layer_current=current,
    )


@pytest.fixture
def admission() -> Admission:
    return Admission(n_streams=4, n_transfers=4)


@pytest.fixture
def transfers(admission: Admission) -> Iterator[Transfers]:
    made = Transfers(admission)
    yield made
    made.close(PATIENCE_S)


def _watch(admission: Admission, gone: Callable[[], bool] = lambda: False) -> ClientWatch:
    return ClientWatch({"waitress.client_disconnected": gone}, admission)


def test_progress_arrives_in_order_up_to_the_end(admission, transfers):
    def work(on_progress: OnProgress, _cancelled: threading.Event) -> None:
        for event in (_progress(1), _progress(10), DONE):
            on_progress(event)

    watch = _watch(admission)
    running = transfers.start("pull", work)
    assert list(running.lines(watch)) == [_progress(1), _progress(10), DONE]
    assert running.join(PATIENCE_S)
    assert admission.transfers.n_active == 0


def test_error_of_the_work_comes_after_its_progress(admission, transfers):
    def work(on_progress: OnProgress, _cancelled: threading.Event) -> None:
        on_progress(_progress(1))
        raise FAILED

    watch = _watch(admission)
    lines = transfers.start("pull", work).lines(watch)
    assert next(lines) == _progress(1)
    with pytest.raises(RegistryUnavailableError):
        next(lines)


def test_cancelled_work_ends_at_its_next_progress(admission, transfers):
    ended, gate = threading.Event(), threading.Event()

    def work(on_progress: OnProgress, _cancelled: threading.Event) -> None:
        try:
            on_progress(_progress(1))
            gate.wait(PATIENCE_S)
            on_progress(_progress(2))
        except RequestCancelledError:
            ended.set()
            raise

    watch = _watch(admission)
    running = transfers.start("pull", work)
    assert next(running.lines(watch)) == _progress(1)
    running.cancel()
    gate.set()
    assert ended.wait(PATIENCE_S)
    assert running.join(PATIENCE_S)
    assert admission.transfers.n_active == 0


def test_cancelled_work_need_not_wait_for_its_next_progress(transfers):
    def work(_on_progress: OnProgress, cancelled: threading.Event) -> None:
        assert cancelled.wait(PATIENCE_S)

    running = transfers.start("pull", work)
    running.cancel()
    assert running.join(PATIENCE_S)


def test_slow_reader_loses_progress_but_not_the_end(admission, transfers):
    def work(on_progress: OnProgress, _cancelled: threading.Event) -> None:
        for i in range(10_000):
            on_progress(_progress(i))
        is_all_told.set()
        on_progress(DONE)

    is_all_told = threading.Event()
    watch = _watch(admission)
    running = transfers.start("pull", work)
    assert is_all_told.wait(PATIENCE_S)  # nobody has read any of it
    lines = list(running.lines(watch))
    assert lines[0] == _progress(0)
    assert lines[-1] == DONE
    assert len(lines) < 1000


def test_third_pull_waits_for_a_slot(admission, transfers):
    gate, started = threading.Event(), threading.Semaphore(0)

    def work(_on_progress: OnProgress, _cancelled: threading.Event) -> None:
        started.release()
        gate.wait(PATIENCE_S)

    first, _second = (transfers.start("pull", work) for _ in range(2))
    assert started.acquire(timeout=PATIENCE_S)
    assert started.acquire(timeout=PATIENCE_S)
    third = transfers.start("pull", work)
    assert admission.transfers.n_active == 3
    assert not started.acquire(timeout=0.1)
    gate.set()
    assert first.join(PATIENCE_S)
    assert started.acquire(timeout=PATIENCE_S)
    assert list(third.lines(_watch(admission))) == []


def test_pull_that_waits_longer_for_a_slot_says_so_once(admission, transfers, monkeypatch):
    monkeypatch.setattr("pyrunner.server.docker.transfers.QUIET_WAIT_S", 0.0)
    gate = threading.Event()
    for _ in range(2):
        transfers.start("pull", lambda *_: gate.wait(PATIENCE_S))
    lines = transfers.start("pull", lambda tell, _: tell(DONE)).lines(_watch(admission))
    assert next(lines).message == "Waiting for a place among the pulls"
    gate.set()
    assert list(lines) == [DONE]


def test_client_gone_while_waiting_for_a_slot_gives_its_place_back(admission, transfers):
    gate = threading.Event()
    for _ in range(2):
        transfers.start("pull", lambda *_: gate.wait(PATIENCE_S))
    waiting = transfers.start("pull", lambda *_: None)
    waiting.cancel()
    assert waiting.join(PATIENCE_S)
    assert admission.transfers.n_active == 2
    gate.set()


def test_push_needs_no_slot_of_the_pulls(admission, transfers):
    gate = threading.Event()
    watch = _watch(admission)
    for _ in range(2):
        transfers.start("pull", lambda *_: gate.wait(PATIENCE_S))
    push = transfers.start("push", lambda on_progress, _: on_progress(DONE))
    assert list(push.lines(watch)) == [DONE]
    gate.set()


def test_one_transfer_too_many_is_refused(transfers):
    tickets = [transfers.admit() for _ in range(4)]
    with pytest.raises(QueueFullError):
        transfers.start("push", lambda *_: None)
    for ticket in tickets:
        ticket.release()


def test_reader_ends_when_the_server_closes(admission, transfers):
    gate = threading.Event()
    watch = _watch(admission)
    running = transfers.start("pull", lambda *_: gate.wait(PATIENCE_S))
    admission.close()
    with pytest.raises(ShuttingDownError):
        next(running.lines(watch))
    gate.set()


def _body(admission: Admission, transfers: Transfers, *, is_json: bool) -> list[bytes]:
    def work(on_progress: OnProgress, _cancelled: threading.Event) -> None:
        on_progress(_progress(1))
        raise FAILED

    watch = _watch(admission)
    running = transfers.start("pull", work)
    return list(ProgressBody(running.lines(watch), running, mode="pull", is_json=is_json))


def test_late_error_is_the_last_json_line_and_nothing_follows(admission, transfers):
    first, last = (json.loads(line) for line in _body(admission, transfers, is_json=True))
    assert first == {
        "type": "progress",
        "message": "Downloaded",
        "total": 10,
        "layer": {"size": 10, "current": 1, "id": "sha256:aa"},
        "mode": "pull",
    }
    assert last["type"] == "error"
    assert last["message"] == f"Error: {FAILED.sentence}"


def test_lines_for_old_clients_are_escaped_as_go_does(admission, transfers):
    _, last = _body(admission, transfers, is_json=False)
    assert last.startswith(b"{&#34;type&#34;:&#34;error&#34;")
    assert b"it &lt;broke&gt;" in last
    assert b'"' not in last


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"from": "bad ref"}, 400, "Invalid model reference"),
        ({"from": ""}, 400, "Invalid model reference"),
        ({}, 400, "Invalid model reference"),
        ({"from": 5}, 400, "invalid request body"),
        ({"from": "ai/x", "bearer-token": "a b"}, 400, "invalid request body: 'bearer-token'"),
        ({"from": "ai/x", "bearer-token": "x\r\n"}, 400, "invalid request body: 'bearer-token'"),
        ({"from": "ai/x", "bearer-token": ["t"]}, 400, "invalid request body: 'bearer-token'"),
    ],
)
def test_pull_that_cannot_begin_has_a_status_of_its_own(api, body, status, text):
    result = api.post("/models/create", body)
    assert result.status_code == status
    assert result.text.startswith(text)


def test_pull_from_a_registry_that_is_not_there_is_502(tmp_path):
    api = make_api(tmp_path, registry_max_attempts=1)
    result = api.post("/models/create", {"from": "127.0.0.1:1/a/b"})
    assert result.status_code == 502
    assert result.text.startswith("error while pulling model: 127.0.0.1:1 could not be reached")
    assert api.application.dependencies.admission.n_active == 0


def test_push_of_an_unknown_model_is_404(api):
    for body in (None, {}, {"bearer-token": ""}):
        result = api.post("/models/ai/none/push", body)
        assert (result.status_code, result.text) == (404, "Model not found\n")


def test_remote_inspection_of_a_registry_that_is_not_there_is_502(tmp_path):
    api = make_api(tmp_path, registry_max_attempts=1)
    assert api.get("/models/127.0.0.1:1/a/b?remote=true").status_code == 502
