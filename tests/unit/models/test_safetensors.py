"""Packaging a folder of safetensors, and the bounded reader of their headers."""

import json
import os
from pathlib import Path

import pytest
from support.artifacts import new_store
from support.safetensors_files import safetensors_bytes, tensor, write_folder

from pyrunner.errors import ModelFileError
from pyrunner.models import package_sources, safetensors
from pyrunner.models.artifact import CONFIG_V02, FILE_PATH
from pyrunner.models.packaging import PackageOptions, package
from pyrunner.models.safetensors import MAX_CONFIG_JSON_BYTES, MAX_HEADER_BYTES, read_header


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "weights")


def _package(store, folder: Path):
    return package(store, PackageOptions(safetensors_dir=folder), "org/st", lambda _: None)


def test_folder_becomes_a_layer_per_file_with_its_path(store, folder):
    made = _package(store, folder)
    assert made.manifest.config.media_type == CONFIG_V02
    assert [
        (each.annotations[FILE_PATH], each.media_type.removeprefix("application/vnd.docker.ai."))
        for each in made.manifest.layers
    ] == [
        ("LICENSE", "license"),
        ("chat_template.jinja", "chat.template.jinja"),
        ("config.json", "model.file"),
        ("model-00001-of-00002.safetensors", "safetensors"),
        ("model-00002-of-00002.safetensors", "safetensors"),
        ("sub/tokenizer.model", "model.file"),
        ("tokenizer.json", "model.file"),
    ]


def test_config_of_a_folder_says_what_the_headers_say(store, folder):
    made = _package(store, folder)
    content = store.blobs.read(made.manifest.config.digest, max_bytes=10**6)
    assert json.loads(content)["config"] == {
        "format": "safetensors",
        "quantization": "BF16",
        "parameters": "10",
        "architecture": "llama",
        "size": "198B",
        "safetensors": {"format": "pt", "tensor_count": "2"},
        "context_size": 2048,
    }
    assert made.weight_paths == ()


def test_equal_folders_make_equal_models_whatever_their_times(store, folder, tmp_path):
    first = _package(store, folder)
    other = write_folder(tmp_path / "other")
    os.utime(other / "config.json", (1, 1))
    (other / "config.json").chmod(0o600)
    assert _package(store, other).id == first.id


def test_tensors_of_several_types_are_mixed(store, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    tensors = {"a": tensor("F32", [1], 0, 4), "b": tensor("F16", [1], 4, 6)}
    (folder / "m.safetensors").write_bytes(safetensors_bytes(tensors, bytes(6)))
    assert _package(store, folder).config.quantization == "mixed"


def test_folder_without_weights_is_refused(store, folder):
    for each in folder.glob("*.safetensors"):
        each.unlink()
    with pytest.raises(ModelFileError, match=r"holds no \.safetensors file"):
        _package(store, folder)
    assert not store.path.exists()


@pytest.mark.parametrize("target", ["/etc/hostname", "config.json", "sub", "missing"])
def test_symbolic_link_is_refused_whatever_it_names(store, folder, target):
    (folder / "link").symlink_to(target)
    with pytest.raises(ModelFileError, match="is a symbolic link"):
        _package(store, folder)
    assert not store.path.exists()


def test_folder_that_is_a_link_inside_is_not_entered(store, folder, tmp_path):
    (folder / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ModelFileError, match="is a symbolic link"):
        _package(store, folder)


def test_pipe_is_refused_without_being_opened(store, folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(ModelFileError, match="no regular file"):
        _package(store, folder)


@pytest.mark.parametrize("name", ["a\\b.json", "a\nb.json", "a\x1bb", "c:x", "\udcff"])
@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_name_that_is_none_elsewhere_is_refused(store, folder, name, make):
    make(folder / name)
    with pytest.raises(ModelFileError, match="has a name that other systems cannot have"):
        _package(store, folder)


def test_folder_with_too_many_files_is_refused_before_one_is_read(store, folder, monkeypatch):
    monkeypatch.setattr(package_sources, "MAX_FILES", 6)
    with pytest.raises(ModelFileError, match="holds more than 6 files"):
        _package(store, folder)


def test_folders_too_deep_are_refused(store, folder):
    folder.joinpath(*["d"] * 20).mkdir(parents=True)
    with pytest.raises(ModelFileError, match="more than 16 folders deep"):
        _package(store, folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no safetensors file"),
        (b"1234567", "is no safetensors file"),
        (safetensors_bytes({}, length=100), "is no safetensors file"),
        (safetensors_bytes({}, length=2**63), "is no safetensors file"),
        (b"\2" + bytes(7) + b"[]", "cannot be read"),
        (b"\2" + bytes(7) + b"\xff\xff", "cannot be read"),
        (safetensors_bytes({"a": {}}), "cannot be read"),
        (safetensors_bytes({"a": tensor("F32", [-1], 0, 4)}, bytes(4)), "cannot be read"),
        (safetensors_bytes({"a": tensor("F32", [1], 0, 2**70)}), "cannot be read"),
        (safetensors_bytes({"__metadata__": {"a": 1}}), "cannot be read"),
        (safetensors_bytes({"a": tensor("F32", [1], 0, 4)}, bytes(3)), "is truncated"),
        (safetensors_bytes({"a": tensor("F32", [1], 4, 0)}, bytes(8)), "is truncated"),
        (safetensors_bytes({"a": tensor("F32", [2**40] * 2, 0, 4)}, bytes(4)), "impossible shape"),
        (safetensors_bytes({"a": tensor("F32", [1] * 9, 0, 4)}, bytes(4)), "impossible shape"),
    ],
)
def test_header_that_is_none_is_refused(tmp_path, content, said):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=said):
        read_header(path)


def test_header_that_claims_more_than_the_limit_is_not_read(tmp_path):
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write((MAX_HEADER_BYTES + 1).to_bytes(8, "little"))
        file.truncate(MAX_HEADER_BYTES * 2)
    with pytest.raises(ModelFileError, match=f"more than {MAX_HEADER_BYTES} bytes"):
        read_header(path)


@pytest.mark.parametrize(
    ("config", "n_ctx"),
    [
        ({}, None),
        ({"n_positions": 1024}, 1024),
        ({"max_position_embeddings": 0, "n_ctx": 5}, None),
        ({"n_ctx": True}, None),
        ({"n_ctx": "many"}, None),
        ({"n_ctx": 2**31}, None),
    ],
)
def test_context_is_the_first_key_that_is_there(config, n_ctx):
    assert safetensors.context_size(config) == n_ctx


@pytest.mark.parametrize("content", [b"[]", b"{", b"x" * (MAX_CONFIG_JSON_BYTES + 1)])
def test_config_json_that_is_none_is_refused(store, folder, content):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"config\.json"):
        _package(store, folder)


def test_dduf_is_packaged_and_what_is_no_archive_refused(store, tmp_path):
    path = tmp_path / "m.dduf"
    path.write_bytes(b"PK\x03\x04rest")
    made = package(store, PackageOptions(dduf=path), "org/image", lambda _: None)
    assert (made.config.format, made.config.size) == ("dduf", "8B")
    path.write_bytes(b"rest")
    with pytest.raises(ModelFileError, match="is no DDUF file"):
        package(store, PackageOptions(dduf=path), "org/image", lambda _: None)
