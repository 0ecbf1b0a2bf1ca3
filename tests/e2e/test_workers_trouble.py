"""Worker processes on a machine in trouble: disks that are full, processes that hang."""

import os
import signal
from contextlib import contextmanager

import pytest
from support.waits import until
from support.workshop import Workshop, is_gone, kill, pid_of, pids

from pyrunner.errors import StoreIOError
from pyrunner.runtime.processes import children

A = "docker.io/ai/a:latest"


@pytest.fixture
def shop(home):
    with Workshop(home) as made:
        made.add("ai/a", "ai/b")
        yield made


@contextmanager
def _ledger_that_cannot_be_written(shop):
    # A full disk refuses the same step; permissions would not stop root.
    in_the_way = shop.run / "ledger.new"
    in_the_way.mkdir()
    yield
    in_the_way.rmdir()


def test_worker_ends_while_the_disk_is_full_server_lives_on(shop, caplog):
    runtime = shop.runtime()
    runtime.ensure_ready("ai/a")
    runtime.ensure_ready("ai/b")
    with _ledger_that_cannot_be_written(shop):
        kill(pid_of(runtime, A))
        until(lambda: "nobody cleaned up behind worker" in caplog.text)
    runtime.ensure_ready("ai/a")
    pid = pid_of(runtime, A)
    assert len(pids(runtime)) == 2
    kill(pid)
    until(lambda: len(list(shop.run.glob("w*.sock"))) == 1)


def test_worker_that_cannot_be_written_down_does_not_stay(shop):
    runtime = shop.runtime()
    runtime.ensure_ready("ai/a")
    before = set(children._processes)
    with _ledger_that_cannot_be_written(shop), pytest.raises(StoreIOError):
        runtime.ensure_ready("ai/b")
    (key,) = set(children._processes) - before
    until(lambda: is_gone(key[0]))
    runtime.ensure_ready("ai/b")
    assert len(pids(runtime)) == 2


def test_adopt_passes_over_a_worker_that_hangs(shop):
    before = shop.runtime()
    before.ensure_ready("ai/a")
    before.ensure_ready("ai/b")
    pid = pid_of(before, A)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert shop.runtime().adopt() == 1
    finally:
        os.kill(pid, signal.SIGCONT)
