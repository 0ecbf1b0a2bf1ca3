"""The command line and a real registry: what is packaged here comes back from there."""

import json

import pytest
from support.command_line import run
from support.debian_registry import running_registry
from support.random_model import Shape, write_random_model

SHAPE: Shape = {
    "n_layer": 1,
    "n_embd": 64,
    "n_head": 1,
    "n_head_kv": 1,
    "n_ff": 64,
    "n_ctx_train": 256,
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return write_random_model(path, vocab="llama-spm", quantize="Q8_0", **SHAPE)


@pytest.fixture
def pushed(home, registry, gguf):
    name = f"{registry.host}/test/tiny:v1"
    done = run("package", "--gguf", str(gguf), "--push", name, home=home)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("Model pushed successfully\n")
    return name


def test_pull_brings_back_what_was_pushed(home, pushed):
    before = run("inspect", pushed, home=home).stdout
    assert run("rm", pushed, home=home).returncode == 0
    pulled = run("pull", pushed, home=home)
    assert (pulled.returncode, pulled.stderr) == (0, "")
    assert pulled.stdout.splitlines()[0].startswith("Downloaded ")
    assert pulled.stdout.splitlines()[-1] == "Model pulled successfully"
    assert run("inspect", pushed, home=home).stdout == before


def test_pull_of_what_is_here_says_so(home, pushed):
    assert run("pull", pushed, home=home).stdout.startswith("Using cached model: ")


def test_pull_quiet_prints_nothing(home, pushed):
    done = run("pull", "-q", pushed, home=home)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_pull_json_ends_with_success(home, pushed):
    run("rm", pushed, home=home)
    lines = run("pull", "--json", pushed, home=home).stdout.splitlines()
    assert json.loads(lines[0])["type"] == "progress"
    assert json.loads(lines[-1])["type"] == "success"


def test_inspect_remote_says_the_same_without_the_names(home, pushed):
    here = json.loads(run("inspect", pushed, home=home).stdout)
    there = json.loads(run("inspect", "--remote", pushed, home=home).stdout)
    assert here.pop("tags") == [pushed]
    assert there == here


def test_push_of_a_model_that_is_here_again_moves_nothing(home, pushed):
    assert run("push", pushed, home=home).stdout.endswith("Model pushed successfully\n")


@pytest.mark.parametrize("command", ["pull", "inspect -r"])
def test_a_tag_that_the_registry_does_not_have_exits_with_4(home, registry, command):
    done = run(*command.split(), f"{registry.host}/test/none", home=home)
    assert done.returncode == 4
    assert "was not found in the registry" in done.stderr


def test_a_registry_that_is_not_there_exits_with_6(home):
    done = run("pull", "localhost:1/test/x", home=home)
    assert done.returncode == 6
    assert "could not be reached" in done.stderr
