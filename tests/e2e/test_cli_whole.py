"""The command line, a real server and a real worker: a model is packaged, served and asked."""

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from support.command_line import (
    DEADLINE_S,
    PYRUNNER,
    environment,
    processes_below,
    run,
    serving,
    wait_until,
)
from support.random_model import Shape, write_random_model

NAME = "test/tiny"
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
SHAPE: Shape = {
    "n_layer": 1,
    "n_embd": 32,
    "n_head": 1,
    "n_head_kv": 1,
    "n_ff": 64,
    "n_ctx_train": 256,
}

pytestmark = [pytest.mark.native, pytest.mark.slow]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return write_random_model(path, vocab="llama-spm", quantize="Q8_0", **SHAPE)


@pytest.fixture
def model(home, gguf):
    template = home / "template.jinja"
    template.write_text(TEMPLATE)
    files = ("--gguf", str(gguf), "--chat-template", str(template))
    done = run("package", *files, NAME, home=home)
    assert done.returncode == 0, done.stderr
    return NAME


@pytest.fixture
def server(home):
    with serving(home) as process:
        yield process


def test_run_without_a_server_starts_one_and_leaves_nothing(home, model):
    done = run("run", "--verbose", model, "Hello", home=home)
    assert (done.returncode, done.stderr) == (
        0,
        "No server is running; starting one for this command.\n",
    )
    assert "Token usage:" in done.stdout
    wait_until(lambda: not processes_below(home), "a process was left behind")
    left = [path.name for path in (home / "run").rglob("*") if path.is_socket()]
    assert left == []
    assert list((home / "run").glob("own-*")) == []


def test_run_killed_with_its_own_server_leaves_no_process(home, model):
    with subprocess.Popen(
        (*PYRUNNER, "run", model, "Hello"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home),
        cwd=home,
    ) as process:
        assert process.stderr is not None
        assert b"starting one" in process.stderr.readline()
        wait_until(lambda: len(processes_below(home)) > 1, "no server was started")
        process.kill()
    wait_until(lambda: not processes_below(home), "a process was left behind")
    assert run("run", model, "Hello", home=home).returncode == 0
    assert list(home.glob("run/own-*")) == []


def test_socket_of_a_server_that_was_killed_without_a_worker_goes_with_the_next_command(home):
    with subprocess.Popen(
        (*PYRUNNER, "serve", "--no-tcp"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(home),
        cwd=home,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Listening on")
        process.kill()
    assert (home / "run" / "pyrunner.sock").is_socket()
    assert run("ls", home=home).returncode == 0
    assert not (home / "run" / "pyrunner.sock").exists()


@pytest.mark.usefixtures("server")
def test_commands_share_what_the_server_has(home, model):
    assert run("status", home=home).stdout.startswith("Docker Model Runner is running")
    assert f"{model} " in run("ls", home=home).stdout
    assert run("ps", home=home).stdout.count("\n") == 1
    assert run("run", "-d", model, home=home).returncode == 0
    assert "minutes from now" in run("ps", home=home).stdout
    answer = run("run", "--verbose", model, home=home, stdin="Hello\n")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "Token usage:" in answer.stdout
    assert run("unload", model, home=home).stdout == "Unloaded 1 model(s).\n"
    assert run("ps", "--json", home=home).stdout == "[]\n"
    assert "Untagged" in run("rm", model, home=home).stdout


@pytest.mark.usefixtures("server")
def test_inspect_says_the_same_with_and_without_a_server(home, model):
    shared = json.loads(run("inspect", model, home=home).stdout)
    nowhere = {"PYRUNNER_RUNTIME_DIR": str(home / "elsewhere")}
    alone = json.loads(run("inspect", model, home=home, extra=nowhere).stdout)
    assert shared == alone


def test_logs_hold_what_the_server_said(home, server):
    assert f"process {server.pid} listens" in run("logs", home=home).stdout


def test_threads_of_a_server_share_one_heap(server):
    variables = _variables(server.pid)
    assert "GLIBC_TUNABLES=glibc.malloc.arena_max=1" in variables
    assert "glibc.malloc.tcache_count=0" in variables


def test_a_server_is_called_pyrunner(server):
    assert Path(f"/proc/{server.pid}/comm").read_text() == "pyrunner\n"


def test_heaps_that_a_person_chose_for_a_server_stay(home):
    chosen = "glibc.malloc.arena_max=3"
    with subprocess.Popen(
        (*PYRUNNER, "serve", "--no-tcp"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(home, {"GLIBC_TUNABLES": chosen}),
        cwd=home,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Listening on")
        assert f"GLIBC_TUNABLES={chosen}" in _variables(process.pid)
        process.kill()


def _variables(pid: int) -> list[str]:
    # glibc ends each of its tunables with a NUL where it reads them.
    return re.split("[\0:]", Path(f"/proc/{pid}/environ").read_text())


def test_serve_stops_well_on_ctrl_c(home, server):
    server.send_signal(signal.SIGINT)
    assert server.wait(DEADLINE_S) == 0
    assert run("ps", home=home).returncode == 3


@pytest.mark.usefixtures("server")
def test_a_second_server_at_the_same_place_is_refused(home):
    done = run("serve", "--port", "0", home=home)
    assert done.returncode == 2
    assert "another server answers" in done.stderr
