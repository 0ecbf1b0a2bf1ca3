"""Several server processes and one set of workers; servers that die."""

import pytest
from support.server_process import ServerProcess
from support.waits import until
from support.workshop import (
    Workshop,
    conversation,
    is_gone,
    kill,
    pids,
    read_some,
    scripted_command,
)

from pyrunner.errors import WorkerCrashedError


@pytest.fixture
def shop(home):
    with Workshop(home) as made:
        made.add("ai/a", "ai/b")
        yield made


def test_two_servers_share_one_worker(shop):
    with ServerProcess(shop.home) as one, ServerProcess(shop.home) as two:
        assert one.ask("ready ai/a") == two.ask("ready ai/a")


def test_two_servers_that_ask_at_once_share_one_load(shop):
    gate = shop.home / "gate"
    options = ("--gate", str(gate))
    with ServerProcess(shop.home, *options) as one, ServerProcess(shop.home, *options) as two:
        one.say("ready ai/a")
        two.say("ready ai/a")
        runtime = shop.runtime(scripted_command(*options))
        until(lambda: bool(runtime.running()))
        gate.touch()
        assert one.answer() == two.answer()
        assert len(list(shop.run.glob("w*.sock"))) == 1


def test_server_killed_other_server_keeps_the_worker_and_its_streams(shop):
    runtime = shop.runtime()
    with ServerProcess(shop.home) as other:
        pid = other.ask("stream ai/a")["pid"]
        with runtime.ensure_ready("ai/a").chat(conversation("x")) as stream:
            read_some(stream)
            other.kill()
            until(lambda: runtime.running()[0].n_in_flight == 1)
            read_some(stream)
        assert pids(runtime) == [pid]


def test_only_server_killed_leaves_nothing_after_the_grace(shop):
    with ServerProcess(shop.home) as server:
        server.say("listen")
        found = [server.ask(f"stream ai/{name}")["pid"] for name in "ab"]
        assert shop.settings().socket_path.exists()
        server.kill()
        until(lambda: all(is_gone(pid) for pid in found))
    assert list(shop.run.glob("*.sock")) == []
    assert shop.runtime().running() == []


def test_server_killed_next_one_adopts_its_worker(shop):
    with ServerProcess(shop.home) as server:
        pid = server.ask("ready ai/a")["pid"]
        server.kill()
    with ServerProcess(shop.home) as again:
        assert again.ask("ready ai/a")["pid"] == pid


def test_server_killed_while_loading_the_load_goes_on_for_another(shop):
    gate = shop.home / "gate"
    options = ("--gate", str(gate))
    runtime = shop.runtime(scripted_command(*options))
    with ServerProcess(shop.home, *options) as server:
        server.say("ready ai/a")
        until(lambda: bool(runtime.running()))
        (pid,) = pids(runtime)
        server.kill()
    gate.touch()
    runtime.ensure_ready("ai/a")
    assert pids(runtime) == [pid]


def test_worker_of_another_server_killed_stream_ends_with_an_error(shop):
    runtime = shop.runtime()
    with ServerProcess(shop.home) as server:
        server.ask("ready ai/a")
        with runtime.ensure_ready("ai/a").chat(conversation("x")) as stream:
            read_some(stream)
            kill(pids(runtime)[0])
            with pytest.raises(WorkerCrashedError):
                list(stream)
        assert server.ask("stream ai/a")["pid"] == pids(runtime)[0]
