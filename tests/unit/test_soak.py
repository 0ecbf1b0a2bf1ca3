"""The soak: by which rule memory is flat, and what counts as an answer."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from soak import client, requests, watch
from soak.client import Document, Outcome, Request, perform
from soak.watch import Sample, Watched
from support.api_server import Reply, listening, sse

MIB = 1024 * 1024


def _watched(*mib: float, threads: tuple[int, int] = (4, 4)) -> Watched:
    samples = [Sample(10.0 * i, threads[0], 9, int(each * MIB)) for i, each in enumerate(mib)]
    last = samples[-1]
    samples[-1] = Sample(last.at_s, threads[1], last.n_files, last.pss_bytes)
    return Watched("worker", 1, samples)


@pytest.mark.parametrize(
    "mib",
    [(100, 100, 100, 100), (100, 130, 100, 100), (100, 102, 104, 106.9), (140, 120, 100, 90)],
    ids=["flat", "one peak", "within what is allowed", "falling"],
)
def test_memory_that_does_not_rise_is_no_complaint(mib):
    assert watch.complaints(_watched(*mib)) == []


def test_memory_that_rises_all_the_time_is_a_complaint():
    (found,) = watch.complaints(_watched(100, 104, 108, 112))
    assert found == "worker: memory grew by 12.0 MiB, 7.1 MiB are allowed"


def test_thread_that_stays_is_a_complaint():
    assert watch.complaints(_watched(100, 100, 100, threads=(4, 5))) == [
        "worker: 5 threads at the end, 4 after the warm-up"
    ]


def test_sample_of_this_process_counts_what_is_there():
    import os

    before = watch.sample(os.getpid())
    with open(os.devnull):  # noqa: PTH123  # any file
        during = watch.sample(os.getpid())
    assert during.n_files == before.n_files + 1
    assert before.pss_bytes > MIB


def test_every_kind_is_drawn_and_can_be_sent():
    rng = random.Random(1)
    drawn = [requests.draw(rng) for _ in range(1000)]
    assert {each.kind for each in drawn} == {make(rng).kind for make in requests._KINDS}
    assert all(json.dumps(each.body) for each in drawn)


def _asked(complaint: Callable[[Document], str] = requests._of_generation, **more: Any) -> Request:
    return Request(kind="chat", path="/chat", body={"x": 1}, complaint=complaint, **more)


def _chunk(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish_reason}]}


def _reply_of(reply: Reply, request: Request | None = None, hang_up_s: float | None = None):
    with listening() as server:
        server.routes["POST /chat"] = lambda _: reply
        return perform(server.address.port, request or _asked(), hang_up_s)


def _streamed(*chunks: bytes) -> Reply:
    return Reply(content_type="text/event-stream", chunks=chunks)


def test_stream_with_an_end_is_answered():
    result = _reply_of(_streamed(*sse(_chunk("a"), _chunk("", "stop"))))
    assert result.outcome is Outcome.ANSWERED, result.detail


@pytest.mark.parametrize(
    "reply",
    [
        _streamed(*sse(_chunk("a"))),
        _streamed(*sse(_chunk("a"), _chunk("", "stop"))[:-1]),
        _streamed(b'data: {"error": {"code": "worker_crashed"}}\n\n'),
        Reply(status=500, chunks=[b'{"error": {"code": "x"}}']),
        Reply(status=503, chunks=[b'{"error": {"code": "queue_full"}}']),
        Reply(chunks=[b"no JSON"]),
    ],
    ids=["no finish", "no [DONE]", "error inside", "error", "refused", "no JSON"],
)
def test_answer_that_is_none_is_a_failure(reply):
    result = _reply_of(reply)
    assert result.outcome is Outcome.FAILED
    assert result.detail


def test_model_that_comes_and_goes_may_refuse():
    reply = Reply(status=503, chunks=[b'{"error": {"code": "shutting_down"}}'])
    result = _reply_of(reply, _asked(may_be_refused=True))
    assert result.outcome is Outcome.REFUSED


def test_client_that_hangs_up_has_cancelled(monkeypatch):
    import threading

    is_over = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield sse(_chunk("a"))[0]
        is_over.wait(5.0)

    try:
        with listening() as server:
            server.routes["POST /chat"] = lambda _: Reply(
                content_type="text/event-stream", chunks=chunks()
            )
            result = perform(server.address.port, _asked(), 0.05)
            monkeypatch.setattr(client, "PATIENCE_S", 0.05)
            impatient = perform(server.address.port, _asked(), None)
            is_over.set()
    finally:
        is_over.set()
    assert result.outcome is Outcome.CANCELLED
    assert impatient.outcome is Outcome.FAILED
