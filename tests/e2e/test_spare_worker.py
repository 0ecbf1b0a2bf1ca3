"""A worker process that waits for the next model: for real, with a scripted one."""

import os
import sys
import threading
from pathlib import Path

import pytest
from support.server_process import ServerProcess
from support.waits import until
from support.workshop import Workshop, conversation, is_gone, kill, pid_of

from pyrunner.runtime.api import Runtime
from pyrunner.runtime.newborn import Newborn
from pyrunner.runtime.processes import children
from pyrunner.runtime.spare import Spare

_DEAF = (sys.executable, "-c", "import time; time.sleep(60)")
"""Waits, as a spare does, but for nothing: the tests end it long before."""
A, B = (f"docker.io/ai/{name}:latest" for name in "ab")


@pytest.fixture
def shop(home):
    with Workshop(home) as made:
        made.add("ai/a", "ai/b")
        yield made


def _say_something(runtime: Runtime, model: str) -> None:
    with runtime.ensure_ready(model).chat(conversation("x", 1)) as stream:
        list(stream)


def test_next_model_is_loaded_by_the_process_that_waits_and_another_takes_its_place(shop):
    runtime = shop.runtime()
    runtime.keep_spare()
    first = runtime._spare.pid
    _say_something(runtime, "ai/a")
    assert pid_of(runtime, A) == first
    until(lambda: runtime._spare.pid is not None)
    second = runtime._spare.pid
    _say_something(runtime, "ai/b")
    assert pid_of(runtime, B) == second != first


def test_next_spare_starts_when_no_answer_is_on_its_way():
    is_over, asked = threading.Event(), threading.Event()

    def is_at_rest() -> bool:
        asked.set()
        return is_over.is_set()

    spare = Spare(_DEAF, is_at_rest)
    try:
        spare.keep()
        taken = spare.take()
        assert taken is not None
        taken.close()
        assert asked.wait(10)
        assert spare.pid is None
        is_over.set()
        until(lambda: spare.pid is not None)
    finally:
        spare.close()
        children.reap()
    assert spare.pid is None


def test_spare_becomes_a_worker_like_any_other(shop):
    runtime = shop.runtime()
    runtime.keep_spare()
    _say_something(runtime, "ai/a")
    pid = pid_of(runtime, A)
    (log,) = runtime.log_paths()
    assert f"worker {pid} for {A}" in log.read_text()
    assert str(Path(f"/proc/{pid}/fd/0").readlink()) == os.devnull
    assert {Path(f"/proc/{pid}/fd/{fd}").readlink() for fd in (1, 2)} == {log}
    assert Path(f"/proc/{pid}/comm").read_text() == "a:latest\n"
    assert len(list(shop.store.path.glob(".pyrunner/leases/*"))) == 1
    assert runtime.unload(only_idle=False) == 1
    assert list(shop.store.path.glob(".pyrunner/leases/*")) == []


def test_spare_that_was_killed_costs_nobody_an_answer(shop):
    runtime = shop.runtime()
    runtime.keep_spare()
    pid = runtime._spare.pid
    kill(pid)
    until(lambda: is_gone(pid))
    _say_something(runtime, "ai/a")
    assert pid_of(runtime, A) != pid


def test_closed_runtime_leaves_no_spare(shop):
    runtime = shop.runtime()
    runtime.keep_spare()
    pid = runtime._spare.pid
    runtime.close(0.0)
    assert is_gone(pid)
    assert runtime._spare.pid is None


def test_spare_ends_with_a_server_that_is_killed(shop):
    with ServerProcess(shop.home) as server:
        pid = server.ask("spare")["pid"]
        assert not is_gone(pid)
        server.kill()
    until(lambda: is_gone(pid))


def test_process_that_never_hears_is_ended():
    newborn = Newborn(_DEAF, None)
    newborn.close()
    assert is_gone(newborn.pid)
    children.reap()


def test_real_worker_that_waits_has_everything_imported():
    code = (
        "import sys; from pyrunner.worker.native import NativeBackend; NativeBackend().warm_up();"
        "sys.exit(not {'pyrunner._native', 'pyrunner.engine.loop'} <= sys.modules.keys())"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0
