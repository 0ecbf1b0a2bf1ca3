"""``pyrunner store``, ``df`` and ``purge`` as a person uses them, and a store that is read-only."""

import json

import pytest
from support.command_line import run, serving
from support.other_stores import ollama_folder, ollama_model
from support.unprivileged import bound_command, set_writable

NAME = "localhost:5000/test/tiny"


@pytest.fixture
def blobs(home, packaged):
    """The model's blobs, the largest (its weights) last."""
    assert packaged["tags"]
    return sorted((home / "store/blobs/sha256").iterdir(), key=lambda each: each.stat().st_size)


def test_commands_on_no_store_say_so_and_make_none(home):
    assert run("store", "verify", home=home).stdout == "0 models, 0 blobs, 0B: all is well.\n"
    assert run("store", "gc", home=home).stdout == "Freed 0B.\n"
    assert run("df", home=home).stdout.startswith("TYPE  ")
    assert run("df", home=home).stdout.splitlines()[1].split() == ["Models", "0.00B"]
    assert run("purge", "--force", home=home).stdout == "Freed 0B.\n"
    assert not (home / "store").exists()


@pytest.mark.usefixtures("packaged")
def test_verify_of_a_whole_store_ends_with_0(home):
    done = run("store", "verify", home=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 model, 3 blobs, ")
    assert done.stdout.endswith(": all is well.\n")


def test_verify_says_what_is_damaged_who_needs_it_and_what_to_do(home, blobs):
    blobs[-1].write_bytes(blobs[-1].read_bytes()[:-1] + b"\xff")
    done = run("store", "verify", home=home)
    assert done.returncode == 1
    first, needed, remedy, summary = done.stdout.splitlines()
    assert first.startswith(f"{blobs[-1]}: its ")
    assert needed == f"  needed by: {NAME}:latest"
    assert remedy == f"  Fetch it again with: pyrunner pull {NAME}:latest"
    assert summary.endswith(": 1 damaged.")


def test_repair_drops_what_is_damaged_and_packaging_again_heals(home, blobs, gguf):
    blobs[-1].write_bytes(b"short")
    done = run("store", "verify", "--repair", home=home)
    assert done.returncode == 1
    assert f"Dropped {blobs[-1]}.\nAfter the repair:\n" in done.stdout
    assert run("package", "--gguf", str(gguf), NAME, home=home).returncode == 0
    assert run("store", "verify", home=home).returncode == 0


def test_repair_of_a_lost_index_ends_with_0_and_tells_how_to_name_the_model(home, packaged):
    (home / "store/index.json").write_bytes(b"")
    assert run("ls", home=home).returncode == 7
    done = run("store", "verify", "--repair", home=home)
    assert done.returncode == 0
    assert f"pyrunner tag {packaged['id']} NAME" in done.stdout
    assert run("tag", packaged["id"], NAME, home=home).returncode == 0
    assert json.loads(run("inspect", NAME, home=home).stdout) == packaged


@pytest.mark.parametrize(("answer", "is_kept"), [("", True), ("n\n", True), ("y\n", False)])
@pytest.mark.usefixtures("packaged")
def test_purge_asks_first(home, answer, is_kept):
    done = run("purge", home=home, stdin=answer)
    assert done.stdout.startswith("WARNING! This will remove the entire models directory.\n")
    assert f"That is: {home / 'store'}\n" in done.stdout
    assert ("Operation cancelled." in done.stdout) == is_kept
    assert (run("ls", "-q", home=home).stdout != "") == is_kept


@pytest.mark.usefixtures("packaged")
def test_purge_of_a_named_server_leaves_the_store_here_alone(home, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    with serving(there):
        [socket] = [each for each in there.rglob("*") if each.is_socket()]
        server = f"unix://{socket}"
        extra = {"MODEL_RUNNER_HOST": server}
        assert run("pull", "pyrunner/demo", home=home, extra=extra).returncode == 0
        done = run("purge", home=home, extra=extra, stdin="y\n")
        assert f"That is: the one of {server}" in done.stdout
        assert done.stdout.endswith(f"Removed all models of {server}.\n")
        assert run("ls", "-q", home=home, extra=extra).stdout == ""
    assert run("ls", "-q", home=home).stdout != ""


def test_gc_names_what_a_broken_pull_left_and_drops_it_on_request(home, packaged):
    partial = home / "store/.pyrunner/incoming" / f"{'0' * 64}.partial"
    partial.write_bytes(b"1" * 2_000_000)
    done = run("store", "gc", home=home)
    assert (done.stdout, partial.exists()) == ("Freed 0B.\n", True)
    assert done.stderr.startswith("2.00MB of unfinished transfers stay")
    done = run("store", "gc", "--partial", home=home)
    assert (done.stdout, done.stderr, partial.exists()) == ("Freed 2.00MB.\n", "", False)
    assert json.loads(run("inspect", NAME, home=home).stdout) == packaged


@pytest.mark.usefixtures("packaged")
def test_lost_index_names_the_repair_and_gc_is_not_recommended(home):
    (home / "store/index.json").unlink()
    done = run("ls", home=home)
    assert done.returncode == 7
    assert "is missing. Rebuild it from the models with: pyrunner store verify" in done.stderr
    assert "store gc" not in run("store", "verify", home=home).stdout
    assert run("package", "--gguf", "x.gguf", "x", home=home).stderr == done.stderr


def test_purge_refuses_what_is_no_store_before_it_asks(home):
    (home / "store").mkdir()
    (home / "store/thesis.txt").write_text("years")
    done = run("purge", "--force", home=home)
    assert (done.returncode, done.stdout) == (7, "")
    assert "holds no model store" in done.stderr
    assert (home / "store/thesis.txt").read_text() == "years"


@pytest.mark.usefixtures("packaged")
def test_everything_works_beside_a_server(home):
    with serving(home):
        assert "all is well" in run("store", "verify", home=home).stdout
        assert run("store", "gc", home=home).stdout == "Freed 0B.\n"
        assert "Models" in run("df", home=home).stdout
        assert run("purge", "-f", home=home).stdout.startswith("Freed ")
        assert run("ls", "-q", home=home).stdout == ""


def test_imported_model_of_ollama_runs(home, gguf):
    folder = ollama_folder(home / "ollama")
    ollama_model(folder, "registry.ollama.ai/library/tiny/latest", weights=gguf)
    dry = run("store", "import", "ollama", "--dry-run", home=home)
    assert dry.stdout.startswith("Would import registry.ollama.ai/library/tiny:latest (")
    done = run("store", "import", "ollama", home=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 file linked" in done.stdout
    answer = run("run", "tiny", "hello", home=home)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout


def test_import_of_another_folder_is_one_sentence(home):
    done = run("store", "import", str(home), home=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds neither Docker Model Runner's models.json nor Ollama's" in done.stderr


@pytest.fixture
def read_only(home, packaged):
    assert packaged["tags"]
    set_writable(home / "store", is_writable=False)
    yield home
    set_writable(home / "store", is_writable=True)


def test_models_of_a_read_only_store_are_listed_checked_and_run(read_only):
    command = bound_command()
    listed = run("ls", "-q", home=read_only, command=command)
    assert (listed.returncode, len(listed.stdout)) == (0, 13)
    assert "all is well" in run("store", "verify", home=read_only, command=command).stdout
    answer = run("run", NAME, "hello", home=read_only, command=command)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    "arguments", [("rm", NAME), ("tag", NAME, "x"), ("store", "gc"), ("purge", "--force")]
)
def test_change_of_a_read_only_store_is_one_clear_sentence(read_only, arguments):
    done = run(*arguments, home=read_only, command=bound_command())
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr == (
        f"pyrunner: {read_only}/store: the model store cannot be written (permission denied). Its "
        "models can be listed and run; to change it, get write permission, or set PYRUNNER_HOME "
        "to another folder.\n"
    )
