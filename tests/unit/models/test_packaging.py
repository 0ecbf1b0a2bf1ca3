import json
from pathlib import Path
from typing import Any

import pytest
from support.artifacts import new_store
from support.gguf_files import GgufBytes, write_shards, write_tiny_gguf

from pyrunner.errors import (
    InvalidParameterError,
    InvalidReferenceError,
    ModelFileError,
    ModelNotFoundError,
    RequestCancelledError,
)
from pyrunner.models import artifact
from pyrunner.models.packaging import PackageOptions, package
from pyrunner.models.progress import ProgressEvent

TEMPLATE = "{{ messages[0].content }}"


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture
def model(tmp_path):
    return write_tiny_gguf(tmp_path / "tiny.gguf")


def _quiet(_message: str) -> None:
    pass


def _written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_package_has_dockers_media_types_and_config(store, model, tmp_path):
    options = PackageOptions(
        gguf=model,
        licenses=(_written(tmp_path, "LICENSE", "MIT"),),
        chat_template=_written(tmp_path, "t.jinja", TEMPLATE),
        mmproj=write_tiny_gguf(tmp_path / "mmproj.gguf", architecture="clip"),
        context_size=4096,
    )
    made = package(store, options, "myorg/tiny:v1", _quiet)
    manifest = json.loads(store.manifest_bytes(made))
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.docker.ai.model.config.v0.1+json"
    assert [each["mediaType"].rsplit(".docker.ai.", 1)[1] for each in manifest["layers"]] == [
        "gguf.v3",
        "mmproj",
        "chat.template.jinja",
        "license",
    ]
    assert manifest["layers"][0]["annotations"]["org.cncf.model.filepath"] == "tiny.gguf"
    config = json.loads(store.blobs.read(made.manifest.config.digest, max_bytes=10**6))
    assert config["rootfs"]["diff_ids"] == [each["digest"] for each in manifest["layers"]]
    assert config["descriptor"] == {}
    assert config["config"].pop("gguf")["general.architecture"] == "llama"
    assert config["config"] == {
        "format": "gguf",
        "quantization": "F32",
        "parameters": "512",
        "architecture": "llama",
        "size": "2.00KiB",
        "context_size": 4096,
        "is_context_chosen": True,
    }


def test_packaged_model_knows_its_files(store, model, tmp_path):
    template = _written(tmp_path, "t.jinja", TEMPLATE)
    made = package(store, PackageOptions(gguf=model, chat_template=template), "tiny", _quiet)
    assert [each.read_bytes() for each in made.weight_paths] == [model.read_bytes()]
    assert made.chat_template_path is not None
    assert made.chat_template_path.read_text() == TEMPLATE
    assert made.mmproj_path is None
    assert made.config.context_size == 512
    assert store.find("tiny") == made


def test_package_of_equal_input_has_the_same_id(tmp_path):
    ids = set()
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        model = write_tiny_gguf(folder / "tiny.gguf")
        made = package(new_store(folder), PackageOptions(gguf=model), f"org/{name}", _quiet)
        ids.add(made.id)
    assert len(ids) == 1


def test_package_says_what_it_adds(store, model, tmp_path):
    told: list[str] = []
    options = PackageOptions(
        gguf=model, licenses=(_written(tmp_path, "LICENSE", "MIT"),), context_size=99
    )
    package(store, options, "tiny", told.append)
    assert told == [
        f'Adding GGUF file from "{model}"',
        "Setting context size 99",
        f'Adding license file from "{tmp_path / "LICENSE"}"',
        "Loading model to Model Runner...",
        "Model loaded successfully",
    ]


def test_package_takes_relative_paths(store, model, monkeypatch):
    monkeypatch.chdir(model.parent)
    made = package(store, PackageOptions(gguf=Path("tiny.gguf")), "tiny", _quiet)
    assert made.weight_paths[0].read_bytes() == model.read_bytes()


def test_package_of_any_shard_takes_all_in_order(store, tmp_path):
    shards = write_shards(tmp_path, 3)
    made = package(store, PackageOptions(gguf=shards[1]), "big", _quiet)
    assert [each.read_bytes() for each in made.weight_paths] == [
        each.read_bytes() for each in shards
    ]
    assert (made.config.parameters, made.config.architecture) == ("192", "llama")


def test_package_names_the_missing_shard(store, tmp_path):
    shards = write_shards(tmp_path, 3)
    shards[2].unlink()
    with pytest.raises(ModelFileError, match="shard 3 of 3 is missing"):
        package(store, PackageOptions(gguf=shards[0]), "big", _quiet)


def test_package_of_shards_under_wrong_names_is_refused(store, tmp_path):
    shards = write_shards(tmp_path, 2)
    shards[0].write_bytes(shards[1].read_bytes())
    with pytest.raises(ModelFileError, match="by its header"):
        package(store, PackageOptions(gguf=shards[0]), "big", _quiet)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a text file that is long enough to be one", "is no GGUF file"),
        (GgufBytes().number("k", 1).tensor("t", (8,)).build(), "names no architecture"),
        (GgufBytes().text("general.architecture", "llama").build(), "has no weights"),
        (GgufBytes().tensor("t", (8,)).build()[:-1], "truncated"),
    ],
)
def test_package_of_what_is_no_model_is_refused_and_nothing_stored(store, tmp_path, content, said):
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=said):
        package(store, PackageOptions(gguf=path), "x", _quiet)
    assert not store.path.exists()


@pytest.mark.parametrize("field", ["chat_template", "licenses"])
@pytest.mark.parametrize("content", [b"", b"  \n", b"\xff\xfe", b"a\0b", b"x" * (2**20 + 1)])
def test_package_with_a_text_that_is_none_is_refused(store, model, tmp_path, field, content):
    path = tmp_path / "text"
    path.write_bytes(content)
    options: dict[str, Any] = {field: (path,) if field == "licenses" else path}
    with pytest.raises(ModelFileError):
        package(store, PackageOptions(gguf=model, **options), "x", _quiet)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, InvalidParameterError),
        ({"dduf": Path("x"), "source": "y"}, InvalidParameterError),
        ({"gguf": Path("x"), "context_size": 0}, InvalidParameterError),
        ({"gguf": Path("x"), "context_size": -2}, InvalidParameterError),
        ({"gguf": Path("x"), "context_size": 2**31}, InvalidParameterError),
        ({"safetensors_dir": Path("x"), "dduf": Path("y")}, InvalidParameterError),
        ({"safetensors_dir": Path("missing")}, ModelFileError),
        ({"dduf": Path("missing")}, ModelFileError),
        ({"gguf": Path("x"), "format": "cncf", "context_size": 8}, InvalidParameterError),
        ({"gguf": Path("missing.gguf")}, ModelFileError),
        ({"source": "missing"}, ModelNotFoundError),
    ],
)
def test_package_refuses_options_it_cannot_follow(store, options, error):
    with pytest.raises(error):
        package(store, PackageOptions(**options), "x", _quiet)


def test_package_under_a_bad_name_is_refused_first(store, model):
    with pytest.raises(InvalidReferenceError):
        package(store, PackageOptions(gguf=model), "a b", _quiet)
    assert not store.path.exists()


def test_repackage_changes_the_context_size_and_shares_the_weights(store, model):
    source = package(store, PackageOptions(gguf=model), "tiny", _quiet)
    made = package(store, PackageOptions(source="tiny", context_size=64), "tiny:64", _quiet)
    assert made.config.context_size == 64
    assert made.config.gguf == source.config.gguf
    assert made.manifest.layers == source.manifest.layers
    assert made.id != source.id
    assert store.find("tiny").config.context_size == 512


def test_repackage_replaces_the_template_and_adds_licences(store, model, tmp_path):
    first = PackageOptions(
        gguf=model,
        chat_template=_written(tmp_path, "old.jinja", "old"),
        licenses=(_written(tmp_path, "A", "a"),),
    )
    package(store, first, "tiny", _quiet)
    second = PackageOptions(
        source="tiny",
        chat_template=_written(tmp_path, "new.jinja", "new"),
        licenses=(_written(tmp_path, "B", "b"),),
    )
    made = package(store, second, "tiny:2", _quiet)
    assert made.chat_template_path is not None
    assert made.chat_template_path.read_text() == "new"
    assert [each.read_text() for each in made.license_paths] == ["a", "b"]


def test_repackage_without_changes_gives_the_same_id(store, model):
    source = package(store, PackageOptions(gguf=model), "tiny", _quiet)
    assert package(store, PackageOptions(source="tiny"), "again", _quiet).id == source.id


def test_package_with_a_time_says_it_and_without_says_none(store, model):
    made = package(store, PackageOptions(gguf=model, created_s=1_000_000_000), "tiny", _quiet)
    assert made.created == 1_000_000_000
    assert "2001-09-09T01:46:40Z" in made.manifest.layers[0].annotations[artifact.FILE_METADATA]
    plain = package(store, PackageOptions(gguf=model), "plain", _quiet)
    assert plain.created == 0
    assert "1970-01-01T00:00:00Z" in plain.manifest.layers[0].annotations[artifact.FILE_METADATA]


def test_package_tells_how_much_is_read_and_copied(store, model):
    told: list[ProgressEvent] = []
    package(store, PackageOptions(gguf=model), "tiny", _quiet, told.append)
    size = model.stat().st_size
    assert {(each.mode, each.layer_id, each.total) for each in told} == {
        ("package", "tiny.gguf", size)
    }
    amounts = [each.layer_current for each in told]
    assert amounts == sorted(amounts)
    assert amounts[-1] == size


def test_package_stopped_by_its_progress_leaves_no_model(store, model):
    def stop(_event: ProgressEvent) -> None:
        raise RequestCancelledError(during="a test")

    with pytest.raises(RequestCancelledError):
        package(store, PackageOptions(gguf=model), "tiny", _quiet, stop)
    assert store.list() == []
