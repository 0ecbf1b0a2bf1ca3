"""``export`` and ``load`` on the store of this machine, as a person runs them."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support.command_line import PYRUNNER, environment, run
from support.gguf_files import write_tiny_gguf
from support.programs import needs_skopeo
from support.safetensors_files import write_folder


@pytest.fixture
def model(home, tmp_path) -> str:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    done = run("package", "--gguf", str(path), "org/tiny", home=home)
    assert done.returncode == 0, done.stderr
    return _id(home, "org/tiny")


def _id(home: Path, name: str) -> str:
    model_id: str = json.loads(run("inspect", name, home=home).stdout)["id"]
    return model_id


def _in_shell(home: Path, script: str) -> "subprocess.CompletedProcess[str]":
    command = ("/bin/sh", "-c", script, "sh", *PYRUNNER)
    return run(home=home, command=command)


def test_export_to_a_file_and_load_give_the_same_model(home, tmp_path, model):
    path = tmp_path / "x.tar"
    exported = run("export", "org/tiny", "-o", str(path), home=home)
    assert (exported.returncode, exported.stdout, exported.stderr) == (0, "", "")
    assert path.stat().st_mode & 0o777 == 0o644
    run("rm", "org/tiny", home=home)
    loaded = run("load", "-i", str(path), home=home)
    assert (loaded.returncode, loaded.stdout) == (0, f"Loaded model: {model}\n")
    assert "tags" not in json.loads(run("ls", "--json", home=home).stdout)[0]
    assert run("tag", model[7:19], "org/again", home=home).returncode == 0
    assert _id(home, "org/again") == model


@pytest.mark.parametrize("options", ["", " --oci"])
def test_model_goes_through_a_pipe_into_another_store(home, tmp_path, model, options):
    other = tmp_path / "other"
    script = f'"$@" export org/tiny{options} | PYRUNNER_HOME={other} "$@" load org/copy'
    done = _in_shell(home, script)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"Loaded model: {model}\n", "")
    assert _id(other, "org/copy") == model


@pytest.mark.usefixtures("model")
def test_pipe_that_breaks_off_leaves_nothing(home, tmp_path):
    other = tmp_path / "other"
    done = _in_shell(home, f'"$@" export org/tiny | head -c 3000 | PYRUNNER_HOME={other} "$@" load')
    assert done.returncode == 2
    assert "standard input: is truncated" in done.stderr
    assert list((other / "store" / "blobs" / "sha256").iterdir()) == []
    assert list((other / "store" / ".pyrunner" / "incoming").iterdir()) == []


@pytest.mark.usefixtures("model")
def test_export_replaces_a_file_only_when_it_is_whole(home, tmp_path):
    path = tmp_path / "x.tar"
    path.write_text("before")
    assert run("export", "org/none", "-o", str(path), home=home).returncode == 4
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".export")] == []
    assert run("export", "org/tiny", "-o", str(path), home=home).returncode == 0
    assert path.read_bytes().startswith(b"blobs")


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["export", "org/tiny", "-o", "/none/x.tar"], 2, "/none/x.tar cannot be written: no such"),
        (["export", "org/tiny", "-o", "/dev/full"], 7, "/dev/full: no space left"),
        (["load", "-i", "/none"], 2, "/none: no such file"),
        (["load"], 2, "standard input: is truncated"),
        (["load", "-i", "/dev/null", "a b"], 2, "Invalid model reference"),
        (["load", "-i", "/"], 2, "/: is a directory"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(home, arguments, code, said):
    done = run(*arguments, home=home)
    assert said in done.stderr
    assert done.returncode == code
    assert ("fetch this one again" in done.stderr) == ("truncated" in done.stderr)
    assert len(done.stderr.splitlines()) <= 3


@pytest.mark.usefixtures("model")
@needs_skopeo
@pytest.mark.parametrize("form", ["docker", "cncf"])
def test_skopeo_reads_and_copies_what_is_exported_as_a_layout(home, tmp_path, form):
    run("package", "--from", "org/tiny", "--format", form, "org/made", home=home)
    run("export", "--oci", "org/made", "-o", str(tmp_path / "x.tar"), home=home)
    model = _id(home, "org/made")
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    copied = subprocess.run(
        [
            *("skopeo", "--policy", policy, "copy"),
            *(f"oci-archive:{tmp_path}/x.tar", f"oci-archive:{tmp_path}/copy.tar:x"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert copied.returncode == 0, copied.stderr
    run("rm", "org/made", home=home)
    loaded = run("load", "-i", str(tmp_path / "copy.tar"), home=home)
    assert loaded.stdout == f"Loaded model: {model}\n", loaded.stderr


def test_export_to_a_terminal_is_refused(home, tmp_path, model):
    main, side = os.openpty()
    with subprocess.Popen(
        (*PYRUNNER, "export", model), stdout=side, stderr=subprocess.PIPE, text=True,
        env=environment(home), cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert "give -o FILE" in process.stderr.read()
    os.close(main)
    os.close(side)
    assert process.returncode == 2


def test_package_of_a_folder_in_modelpacks_form_with_a_time(home, tmp_path):
    folder = write_folder(tmp_path / "weights")
    arguments = ("package", "--safetensors-dir", str(folder), "--format", "cncf", "org/st")
    done = run(*arguments, home=home, extra={"SOURCE_DATE_EPOCH": "86400"})
    assert done.returncode == 0, done.stderr
    shown = json.loads(run("inspect", "org/st", home=home).stdout)
    assert shown["created"] == 86400
    assert shown["config"]["format"] == "safetensors"
    refused = run("package", "--from", "org/st", "x", home=home, extra={"SOURCE_DATE_EPOCH": "now"})
    assert (refused.returncode, "SOURCE_DATE_EPOCH" in refused.stderr) == (2, True)
