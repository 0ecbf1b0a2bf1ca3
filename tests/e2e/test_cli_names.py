"""Names that a command cannot take: said in one sentence, before anything is sent or made."""

import json

import pytest
from support.command_line import run
from support.gguf_files import write_tiny_gguf

NAME = "docker.io/org/tiny:latest"


@pytest.fixture
def tiny(home, tmp_path) -> str:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    done = run("package", "-q", "--gguf", str(path), "org/tiny", home=home)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    model_id: str = json.loads(run("inspect", "org/tiny", home=home).stdout)["id"]
    return model_id


@pytest.mark.parametrize("cut", [(7, 19), (0, 71), (7, 71)], ids=["short", "full", "bare"])
@pytest.mark.parametrize("command", ["push", "sign", "verify"])
def test_id_where_a_registry_is_needed_says_which_names_there_are(home, tiny, command, cut):
    if command != "push":
        assert run("generate-key-pair", home=home).returncode == 0
    key = {"push": (), "sign": ("--key", "pyrunner.key"), "verify": ("--key", "pyrunner.pub")}
    text = tiny[slice(*cut)]
    done = run(command, *key[command], text, home=home)
    assert (done.returncode, done.stderr) == (
        2,
        f"pyrunner: {text} is an id, which names no registry; name the tag: {NAME}\n",
    )


def test_id_of_a_model_without_a_name_says_how_it_gets_one(home, tiny, tmp_path):
    assert run("export", tiny, "-o", str(tmp_path / "x.tar"), home=home).returncode == 0
    run("rm", tiny, home=home)
    run("load", "-i", str(tmp_path / "x.tar"), home=home)
    done = run("push", tiny[7:19], home=home)
    assert done.returncode == 2
    assert f"with: pyrunner tag {tiny[7:19]} NAME" in done.stderr


DIGEST = f"org/tiny@sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pyrunner/demo", "ships with pyrunner"),
        ("hf.co/org/x", "is on Hugging Face"),
        (DIGEST, "names a digest"),
    ],
)
def test_push_of_what_has_no_place_says_why_and_what_to_do(home, name, why):
    done = run("push", name, home=home)
    assert done.returncode == 2
    assert done.stderr.startswith(f"pyrunner: '{name}' {why}")
    assert "pyrunner tag" in done.stderr
    assert "not supported yet" not in done.stderr


def test_package_that_cannot_be_pushed_makes_nothing(home, tmp_path):
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    done = run("package", "--push", "--gguf", str(path), "hf.co/org/x", home=home)
    assert done.returncode == 2
    assert "Adding GGUF" not in done.stderr
    assert not (home / "store").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pyrunner/demo",), "'TAG' is pyrunner/demo"),
        ((DIGEST,), "'TAG' names a digest"),
        (("--context-size", "0", "x"), "'--context-size' is 0"),
    ],
)
def test_package_names_what_was_typed(home, tmp_path, arguments, said):
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    done = run("package", "--gguf", str(path), *arguments, home=home)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert "Adding GGUF" not in done.stderr


def test_package_json_prints_lines_that_end_with_success(home, tmp_path):
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    done = run("package", "--json", "--gguf", str(path), "x", home=home)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert {each["mode"] for each in lines} == {"package"}
    assert [each["type"] for each in lines].count("success") == 1
    assert lines[-1]["message"] == "Model loaded successfully"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("pull", "--json", "localhost:1/a/b"), 6),
        (("push", "--json", "localhost:1/a/b"), 4),
        (("pull", "--json", "a b"), 2),
        (("package", "--json", "--gguf", "none.gguf", "x"), 2),
    ],
)
def test_json_lines_end_with_the_error(home, command, code):
    done = run(*command, home=home, extra={"PYRUNNER_REGISTRY_MAX_ATTEMPTS": "1"})
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["type"], last["mode"]) == (code, "error", command[0])
    assert done.stderr.startswith(f"pyrunner: {last['message'].removeprefix('Error: ')}\n")
    assert "finished parts" not in done.stderr


@pytest.mark.parametrize("command", [("pull", "x"), ("push", "x"), ("package", "--gguf", "x", "y")])
def test_quiet_and_json_exclude_each_other(home, command):
    done = run(*command, "-q", "--json", home=home)
    assert (done.returncode, "cannot be used together" in done.stderr) == (2, True)


@pytest.mark.usefixtures("tiny")
def test_rm_goes_on_after_a_failure_and_exits_with_the_first(home):
    done = run("rm", "none", "org/tiny", "a b", home=home)
    assert done.returncode == 4
    assert done.stdout.splitlines()[0] == f"Untagged: {NAME}"
    errors = [line for line in done.stderr.splitlines() if line.startswith("pyrunner: ")]
    assert len(errors) == 2
    assert "'none' was not found" in errors[0]
