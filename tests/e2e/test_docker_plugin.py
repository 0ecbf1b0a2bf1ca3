"""``docker model ...`` through Docker's own client, without a Docker engine."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api_server import Reply, delta, listening, sse
from support.command_line import DEADLINE_S, environment, run, serving
from support.debian_registry import running_registry
from support.programs import needs
from support.random_model import Shape, write_random_model

SHAPE: Shape = {
    "n_layer": 1,
    "n_embd": 32,
    "n_head": 1,
    "n_head_kv": 1,
    "n_ff": 64,
    "n_ctx_train": 256,
}
DOCKER = shutil.which("docker")
CHAT = "POST /engines/v1/chat/completions"
MODEL = {"id": "sha256:" + "ab" * 32, "tags": ["docker.io/ai/x:latest"], "created": 1, "config": {}}
PULLED = {"type": "success", "message": "Model pulled successfully", "mode": "pull"}
REMOVED = [{"Untagged": "docker.io/ai/x:latest"}, {"Deleted": MODEL["id"]}]

pytestmark = needs("docker", "docker.io")


@pytest.fixture
def server():
    with listening() as script:
        script.answer("GET /models", [MODEL])
        script.answer("GET /models/ai/x", MODEL)
        script.answer("DELETE /models/ai/x", REMOVED)
        script.answer("POST /models/create", PULLED)
        script.answer("GET /engines/ps", [])
        script.answer("GET /engines/status", {"llama.cpp": "Running"})
        script.answer("GET /version", {"version": "9.9.9"})
        script.answer(CHAT, chunks=sse(delta(content="Hello"), delta(content=" there")))
        yield script


@pytest.fixture
def where(server, home):
    return {
        "DOCKER_CONFIG": str(home / "docker"),
        "DOCKER_HOST": f"unix://{home}/no-engine.sock",
        "MODEL_RUNNER_HOST": server.address.url,
    }


@pytest.fixture
def docker(home, where):
    installed = run("docker-plugin", "install", home=home, extra=where)
    assert installed.returncode == 0, installed.stderr

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return run(*arguments, home=home, extra=where, command=(str(DOCKER),))

    return call


def test_docker_knows_the_plugin(docker):
    help_text = docker("--help").stdout
    assert "model*" in help_text
    assert "Docker Model Runner" in help_text


def test_docker_model_version_asks_the_server(docker):
    done = docker("model", "version")
    assert done.returncode == 0, done.stderr
    assert "Version:    9.9.9" in done.stdout


def test_docker_model_status_says_running(docker):
    done = docker("model", "status")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Docker Model Runner is running")


def test_docker_model_ls_lists(docker):
    assert docker("model", "ls", "-q").stdout == "abababababab\n"


def test_docker_model_ps_lists(docker):
    assert docker("model", "ps").stdout.split() == ["MODEL", "NAME", "BACKEND", "MODE", "UNTIL"]


def test_docker_model_pull_run_and_rm(docker):
    assert docker("model", "pull", "ai/x").stdout == "Model pulled successfully\n"
    assert docker("model", "run", "ai/x", "Say hello").stdout == "Hello there\n"
    assert docker("model", "rm", "ai/x").stdout.startswith("Untagged: docker.io/ai/x:latest\n")


def test_docker_model_with_dockers_own_options_before_it(docker):
    done = docker("--log-level", "error", "--context", "default", "model", "ls", "-q")
    assert done.stdout == "abababababab\n"


def test_docker_model_failure_exits_with_1_and_says_why(docker):
    done = docker("model", "inspect", "none")
    assert done.returncode == 1
    assert "Model 'none' was not found" in done.stderr


def test_docker_model_help_names_itself_as_docker_does(docker):
    assert docker("model", "pull", "--help").stdout.startswith("Usage: docker model pull")


@pytest.fixture
def endless(server):
    """A server whose answer never ends."""

    def chunks() -> Iterator[bytes]:
        yield sse(delta(content="Once upon\n"))[0]
        while True:
            yield sse(delta(content="and then "))[0]

    server.routes[CHAT] = lambda _: Reply(chunks=chunks())
    return server


@contextlib.contextmanager
def _asking(
    command: tuple[str, ...], home: Path, extra: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A command that is in the middle of an answer."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home, extra),
        cwd=home,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"Once upon\n"
        yield process


@pytest.mark.usefixtures("endless")
def test_docker_told_to_stop_stops_the_answer(docker, home, where):
    assert docker("model", "ps").returncode == 0
    with _asking((str(DOCKER), "model", "run", "ai/x", "Tell"), home, where) as process:
        # As a terminal does: Debian 12's client passes nothing on, newer ones do as below.
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 130


@pytest.mark.usefixtures("endless")
def test_docker_that_closes_its_socket_stops_the_answer(docker, home, where):
    assert docker("model", "ps").returncode == 0
    plugin = str(home / "docker" / "cli-plugins" / "docker-model")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "docker.sock"))
        listener.listen(1)
        told = {
            "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": "docker",
            "DOCKER_CLI_PLUGIN_SOCKET": str(home / "docker.sock"),
        }
        with _asking((plugin, "model", "run", "ai/x", "Tell"), home, where | told) as process:
            listener.accept()[0].close()
            process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 130


def test_docker_model_alone_is_how_compose_calls_it(docker, server, home):
    assert docker("model", "ps").returncode == 0
    plugin = home / "docker" / "cli-plugins" / "docker-model"
    where = {"MODEL_RUNNER_HOST": server.address.url, "USER_AGENT": "compose/2"}
    done = run("ls", "--json", home=home, extra=where, command=(str(plugin),))
    assert json.loads(done.stdout + done.stderr) == [MODEL]
    assert server.seen[-1].headers["User-Agent"].endswith(" compose/2")


@pytest.mark.native
@pytest.mark.slow
def test_docker_model_with_a_real_server_registry_and_model(home, where, docker, tmp_path):
    del where["MODEL_RUNNER_HOST"]
    gguf = write_random_model(tmp_path / "tiny.gguf", vocab="llama-spm", **SHAPE)
    template = tmp_path / "template.jinja"
    template.write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    with running_registry(tmp_path) as registry, serving(home):
        name = f"{registry.host}/test/tiny:v1"
        files = ("--gguf", str(gguf), "--chat-template", str(template))
        assert run("package", *files, "--push", name, home=home).returncode == 0
        assert run("rm", name, home=home).returncode == 0
        assert docker("model", "status").stdout.startswith("Docker Model Runner is running")
        assert docker("model", "pull", name).stdout.endswith("Model pulled successfully\n")
        assert name in docker("model", "ls").stdout
        answer = docker("model", "run", "--verbose", name, "Hello")
        assert (answer.returncode, answer.stderr) == (0, "")
        assert "Token usage:" in answer.stdout
        assert name in docker("model", "ps").stdout
        assert docker("model", "unload", "--all").stdout == "Unloaded 1 model(s).\n"
        assert "Deleted: sha256:" in docker("model", "rm", name).stdout


def test_install_keeps_another_programs_plugin(home):
    plugin = home / "docker" / "cli-plugins" / "docker-model"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("#!/bin/sh\necho another\n")
    where = {"DOCKER_CONFIG": str(home / "docker")}
    refused = run("docker-plugin", "install", home=home, extra=where)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert run("docker-plugin", "uninstall", home=home, extra=where).returncode == 2
    assert "another" in plugin.read_text()
    assert run("docker-plugin", "install", "--force", home=home, extra=where).returncode == 0
    assert run("docker-plugin", "uninstall", home=home, extra=where).returncode == 0
    assert not os.path.lexists(plugin)
