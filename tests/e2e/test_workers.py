"""Worker processes for real: loading, sharing, crashing. Only the model is scripted."""

import threading

import pytest
from support.answers import text_of
from support.waits import until
from support.workshop import (
    Workshop,
    conversation,
    in_threads,
    is_gone,
    kill,
    pid_of,
    pids,
    read_some,
    scripted_command,
)

from pyrunner.errors import (
    DecodeError,
    ModelLoadingError,
    QueueFullError,
    RequestCancelledError,
    WorkerCrashedError,
)
from pyrunner.types import (
    CompletionRequest,
    EmbeddingRequest,
    FinishEvent,
    Limits,
    ModelMode,
)

A, B, C = (f"docker.io/ai/{name}:latest" for name in "abc")


@pytest.fixture
def shop(home):
    with Workshop(home) as made:
        made.add("ai/a", "ai/b", "ai/c")
        yield made


def test_chat_model_not_loaded_is_loaded_and_answers(shop):
    runner = shop.runtime().ensure_ready("ai/a")
    with runner.chat(conversation("hello", 3)) as stream:
        events = list(stream)
    assert text_of(events) == "w0 w1 w2 "
    assert isinstance(events[-1], FinishEvent)
    assert (runner.reference, runner.info.architecture) == (A, "scripted")


def test_second_request_meets_the_same_worker(shop):
    runtime = shop.runtime()
    runtime.ensure_ready("ai/a")
    pid = pid_of(runtime, A)
    with runtime.ensure_ready("a").complete(
        CompletionRequest(prompt="x", limits=Limits(max_tokens=1))
    ) as stream:
        list(stream)
    assert pids(runtime) == [pid]


def test_embedding_has_its_own_worker(shop):
    runtime = shop.runtime()
    runtime.ensure_ready("ai/a")
    runner = runtime.ensure_ready("ai/a", mode=ModelMode.EMBEDDING)
    result = runner.embed(EmbeddingRequest(inputs=("abc", (1, 2))))
    assert (len(result.vectors), result.n_tokens) == (2, 5)
    assert {each.mode for each in runtime.running()} == {ModelMode.COMPLETION, ModelMode.EMBEDDING}


def test_concurrent_first_requests_start_one_process(shop):
    gate = shop.home / "gate"
    runtime = shop.runtime(scripted_command("--gate", str(gate)))
    threading.Timer(0.2, gate.touch).start()
    runners = in_threads(8, lambda _: runtime.ensure_ready("ai/a"))
    assert [type(each).__name__ for each in runners] == ["LocalRunner"] * 8
    assert len(pids(runtime)) == 1
    assert runtime.log_path("ai/a").read_text().count(" for docker.io/ai/a:latest") == 1


def test_first_asker_gone_load_goes_on_for_the_others(shop):
    gate = shop.home / "gate"
    runtime = shop.runtime(scripted_command("--gate", str(gate)))
    with pytest.raises(RequestCancelledError):
        runtime.ensure_ready("ai/a", is_cancelled=lambda: bool(runtime.running()))
    (loading,) = runtime.running()
    assert loading.is_loading
    gate.touch()
    runtime.ensure_ready("ai/a")
    assert pids(runtime) == [loading.pid]


def test_deadline_passed_is_retryable_and_the_load_goes_on(shop):
    gate = shop.home / "gate"
    runtime = shop.runtime(scripted_command("--gate", str(gate)))
    with pytest.raises(ModelLoadingError):
        runtime.ensure_ready("ai/a", deadline_s=0.2)
    pid = pid_of(runtime, A)
    gate.touch()
    runtime.ensure_ready("ai/a")
    assert pids(runtime) == [pid]


def test_kill_in_the_middle_of_a_stream_ends_that_stream_only(shop):
    runtime = shop.runtime()
    with (
        runtime.ensure_ready("ai/a").chat(conversation("x")) as dying,
        runtime.ensure_ready("ai/b").chat(conversation("x")) as living,
    ):
        read_some(dying)
        read_some(living)
        pid = pid_of(runtime, A)
        kill(pid)
        with pytest.raises(WorkerCrashedError) as caught:
            list(dying)
        read_some(living)
    assert caught.value.how == "SIGKILL"
    assert caught.value.reference == A
    runner = runtime.ensure_ready("ai/a")
    assert pid_of(runtime, A) != pid
    with runner.chat(conversation("x", 1)) as stream:
        assert text_of(list(stream)) == "w0 "


def test_killed_worker_leaves_no_lease(shop):
    runtime = shop.runtime()
    runtime.ensure_ready("ai/a")
    assert len(list(shop.store.path.glob(".pyrunner/leases/*"))) == 1
    kill(pid_of(runtime, A))
    until(lambda: not list(shop.store.path.glob(".pyrunner/leases/*")))


def test_killed_worker_leaves_no_socket_and_no_entry(shop):
    runtime = shop.runtime()
    runtime.ensure_ready("ai/a")
    kill(pid_of(runtime, A))
    until(lambda: not list(shop.run.glob("w*.sock")))
    until(lambda: b'"pid"' not in (shop.run / "ledger.json").read_bytes())


def test_idle_worker_killed_next_request_does_not_notice(shop):
    runtime = shop.runtime()
    runner = runtime.ensure_ready("ai/a")
    kill(pid_of(runtime, A))
    with runner.chat(conversation("x", 1)) as stream:
        assert text_of(list(stream)) == "w0 "


@pytest.mark.parametrize(
    ("script", "error", "how"),
    [("crash", WorkerCrashedError, "SIGABRT"), ("broken", DecodeError, "")],
    ids=["abort in native code", "decode error"],
)
def test_engine_gone_every_stream_hears_of_it_and_the_next_request_loads(shop, script, error, how):
    runtime = shop.runtime()
    runner = runtime.ensure_ready("ai/a")
    pid = pid_of(runtime, A)
    with runner.chat(conversation("x")) as other:
        read_some(other)
        with runner.chat(conversation(script)) as stream, pytest.raises(error) as caught:
            list(stream)
        with pytest.raises(error):
            list(other)
    assert getattr(caught.value, "how", "") == how
    until(lambda: is_gone(pid))
    with runner.chat(conversation("x", 1)) as stream:
        assert text_of(list(stream)) == "w0 "


def test_stream_closed_frees_its_lane_even_in_a_long_prompt(shop):
    runtime = shop.runtime()
    stream = runtime.ensure_ready("ai/a").chat(conversation("slow"))
    until(lambda: runtime.running()[0].n_in_flight == 1)
    stream.close()
    until(lambda: runtime.running()[0].n_in_flight == 0)
    with runtime.ensure_ready("ai/a").chat(conversation("x", 1)) as other:
        assert text_of(list(other)) == "w0 "


def test_queue_full_is_retryable(shop):
    runner = shop.runtime(runtime__max_queue=1).ensure_ready("ai/a")
    with runner.chat(conversation("x")) as first:
        read_some(first)
        with runner.chat(conversation("x")) as second, pytest.raises(QueueFullError):
            list(second)
