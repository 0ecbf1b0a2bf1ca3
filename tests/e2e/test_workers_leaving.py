"""Worker processes for real: memory, leaving, and what they inherit. The model is scripted."""

import math
import os
import signal
import threading
from pathlib import Path

import pytest
from support.answers import text_of
from support.waits import until
from support.workshop import (
    BUDGET_OF_TWO,
    Workshop,
    conversation,
    in_threads,
    is_gone,
    pid_of,
    pids,
    read_some,
    scripted_command,
)

from pyrunner.errors import (
    MemoryBudgetError,
    ModelFileError,
    ModelLoadError,
    ModelLoadingError,
    ModelNotFoundError,
    ModelTooLargeError,
    ShuttingDownError,
    WorkerCrashedError,
)

A, B, C = (f"docker.io/ai/{name}:latest" for name in "abc")


@pytest.fixture
def shop(home):
    with Workshop(home) as made:
        made.add("ai/a", "ai/b", "ai/c")
        yield made


def test_idle_worker_leaves_by_itself(shop):
    runtime = shop.runtime(runtime__keep_alive_s=0.3)
    with runtime.ensure_ready("ai/a").chat(conversation("x", 1)) as stream:
        list(stream)
    pid = pid_of(runtime, A)
    until(lambda: is_gone(pid))
    until(lambda: not list(shop.run.glob("w*.sock")))
    assert runtime.running() == []
    assert list(shop.store.path.glob(".pyrunner/leases/*")) == []


def test_keep_alive_zero_leaves_after_the_request(shop):
    runtime = shop.runtime()
    runner = runtime.ensure_ready("ai/a")
    pid = pid_of(runtime, A)
    with runner.chat(conversation("x", 1), keep_alive_s=0.0) as stream:
        list(stream)
    until(lambda: is_gone(pid))


def test_memory_short_least_recently_used_leaves(shop):
    runtime = shop.runtime(runtime__memory_budget_bytes=BUDGET_OF_TWO)
    runtime.ensure_ready("ai/a")
    runtime.ensure_ready("ai/b")
    with runtime.ensure_ready("ai/a").chat(conversation("x", 1)) as stream:
        list(stream)
    runtime.ensure_ready("ai/c")
    assert {each.reference for each in runtime.running()} == {A, C}


def test_memory_short_busy_model_stays_until_it_is_idle(shop):
    runtime = shop.runtime(runtime__memory_budget_bytes=BUDGET_OF_TWO // 2)
    with runtime.ensure_ready("ai/a").chat(conversation("x")) as stream:
        read_some(stream)
        with pytest.raises(MemoryBudgetError):
            runtime.ensure_ready("ai/b")
        read_some(stream)
    until(lambda: runtime.running()[0].n_in_flight == 0)
    runtime.ensure_ready("ai/b")
    assert [each.reference for each in runtime.running()] == [B]


def test_memory_short_model_kept_forever_stays(shop):
    runtime = shop.runtime(runtime__memory_budget_bytes=BUDGET_OF_TWO // 2)
    runtime.ensure_ready("ai/a", keep_alive_s=math.inf)
    with pytest.raises(MemoryBudgetError):
        runtime.ensure_ready("ai/b")
    assert runtime.running()[0].expires_in_s is None


def test_model_above_the_budget_is_too_large(shop):
    with pytest.raises(ModelTooLargeError):
        shop.runtime(runtime__memory_budget_bytes=1000).ensure_ready("ai/a")


def test_model_not_in_the_store_is_not_found(shop):
    with pytest.raises(ModelNotFoundError):
        shop.runtime().ensure_ready("ai/nothing")


def test_model_of_nonsense_never_reaches_a_worker(shop):
    from support import artifacts

    artifacts.add(shop.store, "ai/nonsense", b"this is not a GGUF file")
    runtime = shop.runtime()
    with pytest.raises(ModelFileError):
        runtime.ensure_ready("ai/nonsense")
    assert runtime.running() == []


def test_load_error_reaches_every_waiting_caller(shop):
    runtime = shop.runtime(scripted_command("--load", "error"))
    results = in_threads(3, lambda _: runtime.ensure_ready("ai/a"))
    assert {type(each) for each in results} == {ModelLoadError}
    until(lambda: runtime.running() == [])


def test_crash_while_loading_says_how(shop):
    with pytest.raises(WorkerCrashedError) as caught:
        shop.runtime(scripted_command("--load", "crash")).ensure_ready("ai/a")
    assert caught.value.how == "SIGABRT"


def test_worker_program_that_does_not_start_is_a_crash(shop):
    with pytest.raises(WorkerCrashedError) as caught:
        shop.runtime(("/bin/false",)).ensure_ready("ai/a")
    assert caught.value.how == "exit status 1"


def test_unload_idle_only_spares_a_busy_model(shop):
    runtime = shop.runtime()
    runtime.ensure_ready("ai/b")
    with runtime.ensure_ready("ai/a").chat(conversation("x")) as stream:
        read_some(stream)
        assert runtime.unload() == 1
        assert [each.reference for each in runtime.running()] == [A]
        read_some(stream)


def test_unload_by_name_ends_requests_after_the_drain(shop):
    runtime = shop.runtime(runtime__drain_s=0.2)
    runtime.ensure_ready("ai/b")
    with runtime.ensure_ready("ai/a").chat(conversation("x")) as stream:
        read_some(stream)
        assert runtime.unload(["a"], only_idle=False) == 1
        with pytest.raises(ShuttingDownError):
            list(stream)
    assert [each.reference for each in runtime.running()] == [B]


def test_unload_while_loading_gives_the_load_up(shop):
    runtime = shop.runtime(scripted_command("--gate", str(shop.home / "never")))
    with pytest.raises(ModelLoadingError):
        runtime.ensure_ready("ai/a", deadline_s=0.2)
    assert runtime.unload() == 0
    assert runtime.unload(only_idle=False) == 1
    assert runtime.running() == []


def test_a_model_that_is_unloaded_each_time_it_is_asked_for_has_not_crashed(shop):
    runtime = shop.runtime(scripted_command("--gate", str(shop.home / "never")))
    is_over = threading.Event()

    def unload() -> None:
        while not is_over.is_set():
            runtime.unload(only_idle=False)

    unloading = threading.Thread(target=unload)
    unloading.start()
    try:
        with pytest.raises(ShuttingDownError, match="worker"):
            runtime.ensure_ready("ai/a")
    finally:
        is_over.set()
        unloading.join()


def test_sigterm_lets_streams_finish_and_takes_no_more(shop):
    runtime = shop.runtime(runtime__drain_s=5.0)
    runner = runtime.ensure_ready("ai/a")
    pid = pid_of(runtime, A)
    with runner.chat(conversation("x", 100)) as stream:
        read_some(stream)
        os.kill(pid, signal.SIGTERM)
        until(lambda: not any(each.pid == pid for each in shop.runtime().running()))
        with runner.chat(conversation("x", 1)) as other:
            assert text_of(list(other)) == "w0 "
        assert text_of(list(stream)).endswith("w99 ")
    until(lambda: is_gone(pid))


def test_close_lets_streams_finish_then_ends_them(shop):
    runtime = shop.runtime()
    runner = runtime.ensure_ready("ai/a")
    stream = runner.chat(conversation("x"))
    read_some(stream)
    runtime.close(0.1)
    with pytest.raises(ShuttingDownError):
        list(stream)
    with pytest.raises(ShuttingDownError):
        runtime.ensure_ready("ai/a")
    with pytest.raises(ShuttingDownError):
        runner.chat(conversation("x"))


def test_closed_runtime_its_worker_leaves_after_the_grace(shop):
    runtime = shop.runtime(runtime__orphan_grace_s=0.2)
    runtime.ensure_ready("ai/a")
    pid = pid_of(runtime, A)
    runtime.close(0.0)
    until(lambda: is_gone(pid))


def test_other_configuration_old_worker_drains_and_a_new_one_starts(shop):
    before = shop.runtime()
    before.ensure_ready("ai/a")
    pid = pid_of(before, A)
    after = shop.runtime(engine__n_lanes=2)
    after.ensure_ready("ai/a")
    assert pid not in pids(after)
    until(lambda: is_gone(pid))


def test_adopt_takes_over_what_an_earlier_runtime_left(shop):
    before = shop.runtime()
    before.ensure_ready("ai/a")
    pid = pid_of(before, A)
    before.close(0.0)
    after = shop.runtime()
    assert after.adopt() == 1
    after.ensure_ready("ai/a")
    assert pids(after) == [pid]


def test_removed_model_stays_on_disk_while_it_is_loaded(shop):
    runtime = shop.runtime()
    weights = shop.store.find("ai/a").weight_paths[0]
    runtime.ensure_ready("ai/a")
    shop.store.remove("ai/a")
    assert weights.exists()
    assert runtime.unload([A]) == 1
    shop.store.collect()
    assert not weights.exists()


def test_status_of_a_worker_says_when_it_expires(shop):
    runtime = shop.runtime(runtime__keep_alive_s=60.0)
    runtime.ensure_ready("ai/a")
    (found,) = runtime.running()
    assert (found.model_id, found.keep_alive_s) == (shop.store.find("ai/a").id, 60.0)
    assert found.expires_in_s is not None
    assert 50.0 < found.expires_in_s <= 60.0
    assert 500_000 < found.size_bytes < 1_100_000  # with a prefix cache


def test_runtime_folder_too_long_for_a_socket_works_all_the_same(shop):
    runtime = shop.runtime()
    long = shop.home / ("x" * 120)
    object.__setattr__(runtime._settings, "runtime_dir", long)
    moved = type(runtime)(runtime._settings, shop.store, shop.command)
    try:
        with moved.ensure_ready("ai/a").chat(conversation("x", 1)) as stream:
            assert text_of(list(stream)) == "w0 "
        assert moved.unload() == 1
    finally:
        moved.close(0.0)
        moved._folder.sockets.rmdir()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc, so Linux")
def test_worker_process_inherits_nothing_it_does_not_need(shop, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("GGML_BACKEND_PATH", "/tmp/evil.so")
    secret = os.open(shop.home / "tiny.gguf", os.O_RDONLY)
    os.set_inheritable(secret, True)
    runtime = shop.runtime()
    runtime.ensure_ready("ai/a")
    os.close(secret)
    pid = pid_of(runtime, A)
    process = Path(f"/proc/{pid}")
    environment = (process / "environ").read_bytes()
    assert b"secret" not in environment
    assert b"GGML_BACKEND_PATH" not in environment
    assert str((process / "cwd").readlink()) == "/"
    assert os.getsid(pid) == pid
    opened = [str(each.readlink()) for each in (process / "fd").iterdir()]
    assert str(shop.home / "tiny.gguf") not in opened
    assert "/dev/null" in opened
