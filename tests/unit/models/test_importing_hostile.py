"""Folders of other programs with what does not belong there: a sentence each, nothing half done."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.artifacts import add, blob_names, described, new_store
from support.other_stores import docker_store, ollama_folder, ollama_model, tiny_weights

from pyrunner.errors import ModelFileError
from pyrunner.models import adoption, docker_runner_store, importing, verification
from pyrunner.models import ollama_folder as ollama
from pyrunner.models.artifact import MAX_CONFIG_BYTES
from pyrunner.models.importing import Outcome
from pyrunner.models.store import Store, StoredModel
from pyrunner.registry.digest import Digest

LLAMA = "registry.ollama.ai/library/tiny/latest"
MIB = 2**20


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture(params=["docker", "ollama"])
def folder(request, tmp_path):
    """A folder of each program with one model."""
    if request.param == "docker":
        return docker_store(tmp_path / "docker", {"docker.io/ai/tiny:latest": b"weights" * 99})
    made = ollama_folder(tmp_path / "ollama")
    weights = tiny_weights(tmp_path / "weights")
    ollama_model(made, LLAMA, weights=weights, license=b"MIT", template=b"{% x %}")
    return made


@pytest.fixture
def docker(tmp_path):
    return docker_store(tmp_path / "docker", {"docker.io/ai/tiny:latest": b"weights"})


def _run(store: Store, folder: Path, *, is_dry: bool = False) -> list[Outcome]:
    told: list[Outcome] = []
    importing.run(store, folder, is_dry=is_dry, on_outcome=told.append)
    for each in told:
        assert each.sentence.isprintable()
        assert each.problem.isprintable()
    return told


def _refused(store: Store, folder: Path) -> str:
    """Why the only model cannot come in, once nothing of it is here."""
    [told] = _run(store, folder)
    assert told.problem
    assert store.list() == []
    assert not store.path.exists() or blob_names(store) == set()
    assert verification.verify(store).damages == ()
    return told.problem


def _blobs(folder: Path) -> list[Path]:
    return sorted(each for each in (folder / "blobs").rglob("*") if each.is_file())


def _weights(folder: Path) -> Path:
    return max(_blobs(folder), key=lambda each: each.stat().st_size)


def _manifest(folder: Path) -> Path:
    [path] = [each for each in (folder / "manifests").rglob("*") if each.is_file()]
    return path


@pytest.mark.parametrize("which", [_weights, _manifest])
def test_link_out_of_the_folder_is_not_followed(store, folder, tmp_path, which):
    path = which(folder)
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    assert f"leads out of {folder} through a symbolic link" in _refused(store, folder)
    assert outside.stat().st_nlink == 1


def test_folder_of_blobs_that_lies_elsewhere_is_not_followed(store, folder, tmp_path):
    (folder / "blobs").rename(tmp_path / "elsewhere")
    (folder / "blobs").symlink_to(tmp_path / "elsewhere")
    assert "through a symbolic link" in _refused(store, folder)


def test_list_that_lies_elsewhere_is_not_read(store, docker, tmp_path):
    (docker / "models.json").rename(tmp_path / "elsewhere")
    (docker / "models.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelFileError, match="leads out of"):
        _run(store, docker)


def test_link_inside_the_folder_and_to_the_folder_are_followed(store, folder, tmp_path):
    path = _weights(folder)
    path.rename(folder / "inside")
    path.symlink_to("../inside" if path.parent.parent == folder else "../../inside")
    (tmp_path / "link").symlink_to(folder)
    [told] = _run(store, tmp_path / "link")
    assert told.problem == ""
    assert store.find("tiny").weight_paths[0].samefile(folder / "inside")


def test_link_to_itself_is_left_out(store, folder):
    path = _weights(folder)
    path.unlink()
    path.symlink_to(path.name)
    assert path.name in _refused(store, folder)


def test_missing_blob_leaves_nothing_here(store, folder):
    path = _weights(folder)
    path.unlink()
    assert f"{path}: no such file" in _refused(store, folder)
    [told] = _run(store, folder, is_dry=True)
    assert str(path) in told.problem


@pytest.mark.parametrize("is_longer", [False, True])
def test_blob_of_another_digest_leaves_nothing_here(store, folder, is_longer):
    path = _weights(folder)
    content = path.read_bytes()
    path.write_bytes(content + b"x" if is_longer else content[:-1] + bytes([content[-1] ^ 1]))
    assert "has other bytes than its name promises" in _refused(store, folder)


def test_blob_that_is_here_already_stays_when_an_import_fails(store, docker):
    mine = add(store, "mine", b"weights")
    _replace_config(docker, b"[]")
    assert _run(store, docker)[0].problem
    assert mine.weight_paths[0].read_bytes() == b"weights"
    assert verification.verify(store).damages == ()


@pytest.mark.parametrize("is_said", [False, True])
def test_config_of_100_mb_is_refused_and_not_read(store, docker, is_said):
    config = next(each for each in _blobs(docker) if each.read_bytes() != b"weights")
    if is_said:
        _swap_manifest(docker, lambda said: said["config"].update(size=100 * MIB))
    os.truncate(config, 100 * MIB)
    problem = _refused(store, docker)
    expected = f"more than {MAX_CONFIG_BYTES} bytes" if is_said else "has other bytes"
    assert expected in problem


def test_config_of_100_mb_that_ollama_has_is_of_no_interest(store, tmp_path):
    folder = ollama_folder(tmp_path / "ollama")
    ollama_model(folder, LLAMA, weights=tiny_weights(tmp_path / "weights"))
    said = json.loads(_manifest(folder).read_text())
    path = folder / "blobs" / said["config"]["digest"].replace(":", "-")
    os.truncate(path, 100 * MIB)
    assert _run(store, folder)[0].problem == ""


def test_manifest_of_100_mb_is_refused(store, folder):
    os.truncate(_manifest(folder), 100 * MIB)
    assert "is larger than 4194304 bytes" in _refused(store, folder)


def test_manifest_that_is_a_pipe_is_not_waited_for(store, docker):
    path = _manifest(docker)
    path.unlink()
    os.mkfifo(path)
    assert "is no regular file" in _refused(store, docker)


def test_manifest_of_something_else_is_no_model(store, docker):
    _swap_manifest(docker, lambda said: said["config"].update(mediaType="text/plain"))
    assert _refused(store, docker) == "text/plain is no model"


def test_config_that_is_none_leaves_nothing_here(store, docker):
    _replace_config(docker, b"[]")
    assert "a model config that cannot be read" in _refused(store, docker)


@pytest.mark.parametrize("extra", [b" ", b"x"])
def test_list_of_docker_models_has_a_limit(store, docker, extra):
    path = docker / "models.json"
    content = path.read_bytes()
    path.write_bytes(content + extra * (docker_runner_store.MAX_LIST_BYTES + 1 - len(content)))
    with pytest.raises(ModelFileError, match="is larger than 16777216 bytes"):
        _run(store, docker)


@pytest.mark.parametrize("content", ['{"x":' * 10_000, '{"models":[{"id":"\\ud800"}]}'])
def test_list_that_no_reader_can_hold_is_none(store, docker, content):
    (docker / "models.json").write_text(content)
    with pytest.raises(ModelFileError, match="is no list of models"):
        _run(store, docker)


def test_number_of_ollamas_models_has_a_limit(store, tmp_path, monkeypatch):
    monkeypatch.setattr(ollama, "MAX_MODELS", 2)
    folder = ollama_folder(tmp_path / "ollama")
    for i in range(3):
        ollama_model(folder, f"{LLAMA}{i}", weights=tiny_weights(tmp_path / "weights"))
    with pytest.raises(ModelFileError, match="holds more than 2 models"):
        _run(store, folder)


NAMES = ["x\x1b[2J", "x\nImported y", "a\u202eb", "x" * 100_000, "", "../../x"]


@pytest.mark.parametrize("name", NAMES)
def test_name_that_is_none_is_said_and_the_model_is_here_by_its_id(store, docker, name):
    said = json.loads((docker / "models.json").read_text())
    said["models"][0]["tags"] = [name, "good"]
    (docker / "models.json").write_text(json.dumps(said))
    [told] = _run(store, docker)
    assert told.problem == ""
    assert "not as " in told.sentence
    assert len(told.sentence) < 1000
    assert [each.tags for each in store.list()] == [["docker.io/ai/good:latest"]]


@pytest.mark.parametrize("tag", ["a\x1b[2J", "a\nb", os.fsdecode(b"\xff")])
def test_file_name_of_ollama_that_is_no_name_is_said(store, tmp_path, tag):
    folder = ollama_folder(tmp_path / "ollama")
    name = f"registry.ollama.ai/library/tiny/{tag}"
    ollama_model(folder, name, weights=tiny_weights(tmp_path / "weights"))
    [told] = _run(store, folder)
    assert told.problem == ""
    assert "not as registry.ollama.ai/library/tiny:" in told.sentence
    assert [each.tags for each in store.list()] == [[]]


def test_id_with_control_characters_is_shown_without_them(store, docker):
    (docker / "models.json").write_text('{"models":[{"id":"sha256:\\u001b[2J"}]}')
    assert "at character 8" in _refused(store, docker)


def test_name_that_another_model_takes_meanwhile_stays_with_it(store, docker, monkeypatch):
    real = adoption.adopt
    came: list[StoredModel] = []

    def adopt(*args: Any) -> adoption.Adoption:
        if not came:
            came.append(add(store, "docker.io/ai/tiny", b"pulled meanwhile"))
        return real(*args)

    monkeypatch.setattr(importing, "adopt", adopt)
    [told] = _run(store, docker)
    assert "not as docker.io/ai/tiny:latest, which is another model here" in told.sentence
    assert store.find("docker.io/ai/tiny").id == came[0].id
    assert sorted(map(len, (each.tags for each in store.list()))) == [0, 1]


def test_all_names_that_are_good_come_along(store, docker):
    said = json.loads((docker / "models.json").read_text())
    said["models"][0]["tags"] = ["a", "b", "bad name", "c", "a:latest"]
    (docker / "models.json").write_text(json.dumps(said))
    _run(store, docker)
    assert [each.tags for each in store.list()] == [
        [f"docker.io/ai/{each}:latest" for each in "abc"]
    ]


def test_final_name_is_not_taken_away_when_the_file_changes_afterwards(store, docker, monkeypatch):
    link = os.link

    def change_after(*args: Any, **options: Any) -> None:
        link(*args, **options)
        for each in _blobs(docker):
            os.utime(each, (1, 1))

    monkeypatch.setattr(os, "link", change_after)
    [told] = _run(store, docker)
    assert told.problem == ""
    assert verification.verify(store).damages == ()


def test_file_that_changes_before_it_has_its_name_is_left_out(store, docker, monkeypatch):
    fsync = os.fsync

    path = next(each for each in _blobs(docker) if each.read_bytes() == b"weights")

    def change_first(fd: int) -> None:
        if os.path.samestat(os.fstat(fd), path.stat()):
            path.write_bytes(b"stronger")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", change_first)
    assert "changed while it was read; try again" in _refused(store, docker)


def test_copy_goes_on_where_a_broken_pull_left_a_hole(store, tmp_path, monkeypatch):
    weights = os.urandom(3 * MIB)
    docker = docker_store(tmp_path / "docker", {"docker.io/ai/tiny:latest": weights})
    with store.lease([Digest.of(weights)]) as lease:
        sink = store.incoming(described(weights), lease)
        assert sink is not None
        with sink:
            sink.write_at(0, weights[:MIB])
            sink.spread()
            sink.write_at(2 * MIB, weights[2 * MIB :])
    monkeypatch.setattr(adoption, "_link", lambda *_args: False)
    [told] = _run(store, docker)
    assert told.problem == ""
    assert store.find("tiny").weight_paths[0].read_bytes() == weights


def _swap_manifest(docker: Path, change: Callable[[Any], None]) -> None:
    """Change the manifest of the only model, which gets the id it then has."""
    path = _manifest(docker)
    said = json.loads(path.read_text())
    change(said)
    content = json.dumps(said).encode()
    path.unlink()
    path.with_name(Digest.of(content).hex).write_bytes(content)
    (docker / "models.json").write_text(
        json.dumps({"models": [{"id": Digest.of(content).text, "tags": ["tiny"]}]})
    )


def _replace_config(docker: Path, config: bytes) -> None:
    (docker / "blobs" / "sha256" / Digest.of(config).hex).write_bytes(config)
    made = {"size": len(config), "digest": Digest.of(config).text}
    _swap_manifest(docker, lambda said: said["config"].update(made))
