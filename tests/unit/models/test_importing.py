"""Models of Docker Model Runner and of Ollama come in, without a second copy where possible."""

import errno
import os
from pathlib import Path

import pytest
from support.artifacts import add, blob_names, new_store
from support.other_stores import docker_store, ollama_folder, ollama_model, tiny_weights

from pyrunner.errors import ModelFileError
from pyrunner.models import importing, verification
from pyrunner.models.importing import Outcome
from pyrunner.models.store import Store

GO_TEMPLATE = b"{{ if .System }}{{ .System }}{{ end }}{{ .Prompt }}"
JINJA = b"{% for message in messages %}{{ message.content }}{% endfor %}"
LLAMA = "registry.ollama.ai/library/tiny/latest"


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture
def docker(tmp_path):
    return docker_store(tmp_path / "docker", {"docker.io/ai/x:latest": b"1", "hf.co/a/B:Q4": b"2"})


@pytest.fixture
def ollama(tmp_path):
    return ollama_folder(tmp_path / "ollama" / "models")


@pytest.fixture
def weights(tmp_path):
    return tiny_weights(tmp_path / "weights")


def _run(store: Store, folder: Path, *, is_dry: bool = False) -> list[Outcome]:
    told: list[Outcome] = []
    importing.run(store, folder, is_dry=is_dry, on_outcome=told.append)
    return told


def test_docker_models_come_in_under_their_names_and_ids(store, docker):
    told = _run(store, docker)
    assert [each.problem for each in told] == ["", ""]
    assert "2 files linked" in told[0].sentence
    assert store.find("x").weight_paths[0].read_bytes() == b"1"
    assert store.find("huggingface.co/a/b:Q4").weight_paths[0].read_bytes() == b"2"
    assert (docker / "manifests" / "sha256" / store.find("x").id[7:]).exists()
    assert verification.verify(store).damages == ()


def test_imported_blob_is_the_same_file_and_survives_the_other_store(store, docker):
    _run(store, docker)
    path = store.find("x").weight_paths[0]
    there = docker / "blobs" / "sha256" / path.name
    assert path.samefile(there)
    there.unlink()
    there.write_bytes(b"a later pull of Docker's")
    assert path.read_bytes() == b"1"


def test_removing_an_imported_model_leaves_the_other_store_whole(store, docker):
    _run(store, docker)
    path = store.find("x").weight_paths[0]
    store.remove("x")
    assert not path.exists()
    assert (docker / "blobs" / "sha256" / path.name).read_bytes() == b"1"


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_file_that_the_system_does_not_link_is_copied(store, docker, monkeypatch, error):
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refuse)
    assert "2 files copied" in _run(store, docker)[0].sentence
    path = store.find("x").weight_paths[0]
    assert not path.samefile(docker / "blobs" / "sha256" / path.name)
    assert verification.verify(store).damages == ()


def test_damaged_file_of_the_other_store_is_left_out_and_stops_no_other(store, docker):
    [blob] = [p for p in (docker / "blobs" / "sha256").iterdir() if p.read_bytes() == b"1"]
    blob.write_bytes(b"3")
    told = _run(store, docker)
    assert "has other bytes than its name promises" in told[0].problem
    assert told[1].problem == ""
    assert [each.tags for each in store.list()] == [["huggingface.co/a/b:Q4"]]
    assert blob.name not in blob_names(store)


def test_damaged_blob_here_is_replaced_by_the_good_one_there(store, docker):
    model = add(store, "x", b"1")
    model.weight_paths[0].write_bytes(b"")
    _run(store, docker)
    assert verification.verify(store).damages == ()


def test_name_of_another_model_here_stays_with_it(store, docker):
    mine = add(store, "x", b"mine")
    assert "is another model here" in _run(store, docker)[0].sentence
    assert store.find("x").id == mine.id
    assert {"1", "2", "mine"} == {
        each.weight_paths[0].read_bytes().decode() for each in store.list()
    }


def test_importing_twice_changes_nothing(store, docker):
    _run(store, docker)
    before = (store.list(), blob_names(store))
    assert "2 files present" in _run(store, docker)[0].sentence
    assert (store.list(), blob_names(store)) == before


@pytest.mark.parametrize("kind", ["docker", "ollama"])
def test_dry_run_writes_nothing(store, docker, ollama, weights, kind):
    ollama_model(ollama, LLAMA, weights=weights)
    told = _run(store, {"docker": docker, "ollama": ollama}[kind], is_dry=True)
    assert told[0].sentence.startswith("Would import ")
    assert not store.path.exists()


def test_ollama_model_becomes_a_docker_artifact(store, ollama, weights):
    layers = {"template": GO_TEMPLATE, "params": b"{}", "license": b"MIT"}
    gguf = ollama_model(ollama, LLAMA, weights=weights, **layers)
    [told] = _run(store, ollama.parent)
    assert "without its Go template; without its parameters" in told.sentence
    model = store.find("tiny")
    assert model.tags == ["registry.ollama.ai/library/tiny:latest"]
    assert model.weight_paths[0].samefile(gguf)
    assert (model.config.format, model.config.architecture) == ("gguf", "llama")
    assert model.chat_template_path is None
    assert [each.read_bytes() for each in model.license_paths] == [b"MIT"]
    assert verification.verify(store).damages == ()


def test_jinja_template_of_an_ollama_model_comes_along(store, ollama, weights):
    ollama_model(ollama, LLAMA, weights=weights, template=JINJA)
    _run(store, ollama)
    path = store.find("tiny").chat_template_path
    assert path is not None
    assert path.read_bytes() == JINJA


def test_ollama_model_of_hugging_face_keeps_its_name(store, ollama, weights):
    ollama_model(ollama, "hf.co/Org/Repo-GGUF/Q4_K_M", weights=weights)
    _run(store, ollama)
    assert store.find("hf.co/org/repo-gguf:Q4_K_M").weight_paths


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ({"adapter": b"lora"}, "needs an adapter"),
        ({"model": b"second"}, "has 2 GGUF files"),
    ],
)
def test_ollama_model_that_cannot_run_here_is_left_out(store, ollama, weights, layers, problem):
    path = ollama / "manifests" / LLAMA
    ollama_model(ollama, LLAMA, weights=weights, other=next(iter(layers.values())))
    kind = next(iter(layers))
    path.write_text(path.read_text().replace("image.other", f"image.{kind}"))
    assert problem in _run(store, ollama)[0].problem
    assert store.list() == []


def test_ollama_weights_that_are_no_gguf_are_left_out(store, ollama, tmp_path):
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + b"\xff" * 100)
    ollama_model(ollama, LLAMA, weights=bad)
    assert _run(store, ollama)[0].problem
    assert store.list() == []


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"models":[{"id":7}]}'])
def test_list_of_docker_models_that_cannot_be_read_is_refused(store, docker, content):
    (docker / "models.json").write_bytes(content)
    with pytest.raises(ModelFileError, match="is no list of models"):
        _run(store, docker)


@pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "x", "sha256:" + "0" * 64])
def test_hostile_or_lost_id_of_a_docker_model_is_left_out(store, docker, digest):
    (docker / "models.json").write_text(f'{{"models":[{{"id":"{digest}","tags":["x"]}}]}}')
    assert _run(store, docker)[0].problem
    assert store.list() == []


@pytest.mark.parametrize("name", ["nothing", "here"])
def test_folder_of_another_kind_is_refused(store, tmp_path, name):
    (tmp_path / "here").mkdir()
    with pytest.raises(ModelFileError):
        _run(store, tmp_path / name)


def test_pipe_among_the_blobs_is_left_out(store, docker):
    [blob] = [p for p in (docker / "blobs" / "sha256").iterdir() if p.read_bytes() == b"1"]
    blob.unlink()
    os.mkfifo(blob)
    assert "is no regular file" in _run(store, docker)[0].problem
