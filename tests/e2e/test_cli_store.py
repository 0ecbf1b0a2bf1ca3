"""The command line without a server: it works on the store of this machine."""

import json
import subprocess
from pathlib import Path

import pytest
from support.command_line import PYRUNNER, environment, run
from support.random_model import Shape, write_random_model

NAME = "localhost:5000/test/tiny"


def test_list_of_an_empty_store_is_a_header(home):
    done = run("ls", home=home)
    assert (done.returncode, done.stderr) == (0, "")
    columns = ("MODEL NAME", "PARAMETERS", "QUANTIZATION", "ARCHITECTURE", "MODEL ID", "CREATED")
    assert done.stdout == "  ".join((*columns, "CONTEXT", "SIZE\n"))


def test_list_json_is_json_and_nothing_else(home, packaged):
    done = run("ls", "--json", home=home)
    assert json.loads(done.stdout + done.stderr) == [packaged]


def test_list_quiet_prints_short_ids(home, packaged):
    assert run("ls", "-q", home=home).stdout == packaged["id"][7:19] + "\n"


@pytest.mark.parametrize(
    ("text", "n_rows"),
    [
        *((NAME, 1), (f"{NAME}:latest", 1), (NAME.upper(), 1), ("tiny", 1)),
        *(("tiny:2", 0), ("localhost", 0), ("test", 0)),
    ],
)
@pytest.mark.usefixtures("packaged")
def test_list_of_one_name_filters(home, text, n_rows):
    assert len(run("ls", text, home=home).stdout.splitlines()) == 1 + n_rows


@pytest.mark.usefixtures("packaged")
def test_list_of_one_name_leaves_the_models_other_names_out(home):
    run("tag", NAME, "mine:v1", home=home)
    assert [row.split()[0] for row in run("ls", "mine", home=home).stdout.splitlines()[1:]] == [
        "mine:v1"
    ]


def test_list_quiet_and_openai_exclude_each_other(home):
    done = run("ls", "-q", "--openai", home=home)
    assert done.returncode == 2
    assert "cannot be used together" in done.stderr


def test_inspect_shows_what_was_packaged(packaged):
    assert packaged["tags"] == [f"{NAME}:latest"]
    assert packaged["config"]["architecture"] == "llama"
    assert packaged["config"]["context_size"] == 512


@pytest.mark.usefixtures("packaged")
def test_inspect_openai_has_openais_shape(home):
    shown = json.loads(run("inspect", "--openai", NAME, home=home).stdout)
    assert (shown["object"], shown["id"]) == ("model", f"{NAME}:latest")
    assert shown["dmr"]["context_window"] == 512


def test_inspect_of_an_unknown_id_does_not_say_to_pull_it(home):
    done = run("inspect", "sha256:" + 64 * "a", home=home)
    assert done.returncode == 4
    assert done.stderr.endswith("was not found in the store. See what is there with: pyrunner ls\n")


def test_inspect_of_an_unknown_model_exits_with_4_and_a_way_out(home):
    done = run("inspect", "none", home=home)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "pyrunner: Model 'none' was not found in the store. Pull it with: pyrunner pull none\n"
    )


@pytest.mark.usefixtures("packaged")
def test_tag_then_rm_of_each_name_removes_the_model_with_the_last(home):
    assert run("tag", NAME, "mine:v1", home=home).returncode == 0
    first = run("rm", NAME, home=home)
    assert first.stdout == f"Untagged: {NAME}:latest\n"
    last = run("rm", "mine:v1", home=home)
    assert last.stdout.startswith("Untagged: docker.io/ai/mine:v1\nDeleted: sha256:")
    assert run("ls", "--json", home=home).stdout == "[]\n"


def test_rm_by_id_of_a_model_with_two_names_needs_force(home, packaged):
    run("tag", NAME, "mine", home=home)
    refused = run("rm", packaged["id"], home=home)
    assert refused.returncode == 2
    assert "must be forced" in refused.stderr
    forced = run("rm", "--force", packaged["id"], home=home)
    assert forced.stdout.count("Untagged") == 2


@pytest.mark.usefixtures("packaged")
def test_package_from_a_model_changes_its_context(home):
    done = run("package", "--from", NAME, "--context-size", "256", "mine", home=home)
    assert done.returncode == 0, done.stderr
    assert json.loads(run("inspect", "mine", home=home).stdout)["config"]["context_size"] == 256


def test_package_of_a_text_file_exits_with_2_and_names_it(home):
    path = home / "not.gguf"
    path.write_text("hello")
    done = run("package", "--gguf", str(path), "mine", home=home)
    assert done.returncode == 2
    assert str(path) in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_package_without_weights_says_what_to_give(home):
    done = run("package", "mine", home=home)
    assert done.returncode == 2
    assert "--gguf FILE" in done.stderr


@pytest.mark.parametrize("command", [["ps"], ["unload", "--all"], ["logs"], ["run", "-d", "x"]])
def test_commands_about_a_server_exit_with_3_without_one(home, command):
    done = run(*command, home=home)
    assert done.returncode == 3
    assert "Start one with: pyrunner serve" in done.stderr


def test_status_without_a_server_exits_with_1(home):
    done = run("status", home=home)
    assert done.returncode == 1
    assert done.stdout.startswith("Docker Model Runner is not running\n")


def test_status_json_without_a_server_exits_with_0(home):
    done = run("status", "--json", home=home)
    assert done.returncode == 0
    assert json.loads(done.stdout + done.stderr)["running"] is False


def test_version_without_a_server_says_not_reachable(home):
    assert "Version:    (not reachable)" in run("version", home=home).stdout


@pytest.mark.parametrize("command", [["ls"], ["status"], ["run", "x", "hi"]])
def test_a_named_server_that_does_not_answer_is_not_replaced_by_the_store(home, command):
    done = run(*command, home=home, extra={"MODEL_RUNNER_HOST": f"unix://{home}/none"})
    assert done.returncode == (1 if command == ["status"] else 3)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--set", "server.prot=1"], "did you mean server.port"),
        (["--set", "server.port"], "has no '='"),
        (["--keep-alive", "soon"], "write a duration"),
        (["--memory-budget", "much"], "write a size"),
        (["--port", "70000"], "0<=x<=65535"),
    ],
)
def test_serve_with_a_wrong_setting_exits_with_2_and_a_hint(home, arguments, hint):
    done = run("serve", *arguments, home=home)
    assert done.returncode == 2
    assert hint in done.stderr


def test_run_without_any_prompt_says_so(home):
    done = run("run", "x", home=home, stdin="\n")
    assert done.returncode == 2
    assert "prompt is empty" in done.stderr


def test_a_reader_that_goes_away_is_no_error(home):
    process = subprocess.Popen(
        (*PYRUNNER, "--help"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home),
        cwd=home,
    )
    assert process.stdout is not None
    process.stdout.close()
    with process:
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 141


def _run_in_shell(home: Path, redirection: str) -> "subprocess.CompletedProcess[str]":
    command = ("/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *PYRUNNER)
    return run("ls", home=home, command=command)


def test_output_to_a_full_disk_is_an_error_and_no_bug(home):
    done = _run_in_shell(home, ">/dev/full")
    assert done.returncode == 1
    assert done.stderr == "pyrunner: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("redirection", [">&-", "<&-", "<&- >&-"])
def test_a_closed_stream_is_no_bug(home, redirection):
    done = _run_in_shell(home, redirection)
    assert (done.returncode, done.stderr) == (0, "")


def test_run_in_a_home_that_cannot_be_written_says_where_it_could_be(home):
    (home / "file").touch()
    nowhere = {"PYRUNNER_HOME": str(home / "file")}
    done = run("run", "pyrunner/demo", "Hi", home=home, extra=nowhere)
    assert done.returncode == 7
    assert f"{home}/file/run: Not a directory; PYRUNNER_HOME names" in done.stderr


@pytest.mark.parametrize(("named", "code"), [("unix://", 2), ("a b", 2), ("  ", 0)])
def test_model_runner_host_without_a_place_is_refused_or_ignored(home, named, code):
    assert run("ls", home=home, extra={"MODEL_RUNNER_HOST": named}).returncode == code


@pytest.mark.parametrize("command", ["pull", "push", "inspect"])
def test_bad_reference_is_shown_with_a_caret_below_its_character(home, command):
    done = run(command, "ai/x:v$1", home=home)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == ["  ai/x:v$1", "        ^"]


FULL: Shape = {
    "n_layer": 1,
    "n_embd": 256,
    "n_head": 4,
    "n_head_kv": 2,
    "n_ff": 256,
    "n_ctx_train": 512,
}


def test_package_quantizes_the_weights_first_and_leaves_no_copy(home, tmp_path):
    full = write_random_model(tmp_path / "full.gguf", vocab="llama-spm", quantize="F16", **FULL)
    done = run("package", "--gguf", str(full), "--quantize", "q4_k_m", "small", home=home)
    assert done.returncode == 0, done.stderr
    config = json.loads(run("inspect", "small", home=home).stdout)["config"]
    assert config["quantization"] == "Q4_K_M"
    assert list(home.glob("quantizing-*")) == []


def test_package_quantizes_a_model_of_the_store_and_keeps_what_else_it_has(home, tmp_path):
    full = write_random_model(tmp_path / "full.gguf", vocab="llama-spm", quantize="F16", **FULL)
    template = tmp_path / "own.jinja"
    template.write_text("{{ messages[0].content }}")
    options = ("--chat-template", str(template), "--context-size", "256")
    assert run("package", "--gguf", str(full), *options, "full", home=home).returncode == 0
    done = run("package", "--from", "full", "--quantize", "Q4_K_M", "small", home=home)
    assert done.returncode == 0, done.stderr
    full_config, config = (
        json.loads(run("inspect", each, home=home).stdout)["config"] for each in ("full", "small")
    )
    assert config["quantization"] == "Q4_K_M"
    assert config["context_size"] == full_config["context_size"] == 256
    exported = tmp_path / "small.tar"
    assert run("export", "small", "-o", str(exported), home=home).returncode == 0
    content = exported.read_bytes()
    assert template.read_bytes() in content
    assert len(content) < 0.7 * full.stat().st_size
    assert list(home.glob("*-*-*")) == []


def test_package_quantizes_a_model_of_many_files(home, tmp_path):
    path = tmp_path / "full.gguf"
    write_random_model(path, vocab="llama-spm", quantize="F16", n_shard_tensors=4, **FULL)
    shards = sorted(tmp_path.glob("full-*.gguf"))
    assert len(shards) > 1
    assert run("package", "--gguf", str(shards[0]), "full", home=home).returncode == 0
    done = run("package", "--from", "full", "--quantize", "Q4_K_M", "small", home=home)
    assert done.returncode == 0, done.stderr
    shown = json.loads(run("inspect", "small", home=home).stdout)
    assert shown["config"]["quantization"] == "Q4_K_M"
    answer = run("run", "small", "hello", home=home)
    assert (answer.returncode, bool(answer.stdout)) == (0, True), answer.stderr


def test_package_checks_every_file_before_it_quantizes(home, tmp_path):
    path = tmp_path / "full.gguf"
    write_random_model(path, vocab="llama-spm", quantize="F16", n_shard_tensors=4, **FULL)
    first, second = sorted(tmp_path.glob("full-*.gguf"))[:2]
    second.write_bytes(second.read_bytes().replace(b"split.count", b"split\0count"))
    done = run("package", "--gguf", str(first), "--quantize", "Q4_K_M", "small", home=home)
    assert done.returncode == 2
    assert f"{second}: a metadata key holds a NUL character" in done.stderr
    assert list(home.glob("quantizing-*")) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--gguf", "{gguf}", "--quantize", "Q9"), "Q4_K_M"),
        (("--gguf", "{gguf}", "--quantize", "Q4_0"), "F32, F16, BF16"),
        (("--from", "pyrunner/demo", "--quantize", "Q4_0"), "are Q8_0 already"),
        (("--safetensors-dir", ".", "--quantize", "Q4_0"), "--from MODEL"),
        (("--from", "ai/none:1", "--quantize", "Q4_0"), "ai/none:1"),
    ],
)
def test_package_says_why_it_cannot_quantize(home, gguf, options, said):
    given = [each.format(gguf=gguf) for each in options]
    done = run("package", *given, "small", home=home)
    assert done.returncode in {2, 4}
    assert said in done.stderr
    assert "weights-" not in done.stderr


def test_package_checks_the_name_before_it_quantizes(home, tmp_path):
    full = write_random_model(tmp_path / "full.gguf", vocab="llama-spm", quantize="F16", **FULL)
    done = run("package", "--gguf", str(full), "--quantize", "Q4_0", "a b", home=home)
    assert done.returncode == 2
    assert "Quantized" not in done.stderr
