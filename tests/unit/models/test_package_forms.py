"""Docker's form and ModelPack's: what is written, and from one to the other and back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.artifacts import add, new_store
from support.gguf_files import write_shards, write_tiny_gguf
from support.safetensors_files import write_folder

from pyrunner.errors import InvalidParameterError, UnsupportedParameterError
from pyrunner.models import artifact, modelpack
from pyrunner.models.artifact import FILE_METADATA, FILE_PATH
from pyrunner.models.packaging import PackageOptions, package


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture
def full(tmp_path):
    """Options with everything that a GGUF model can have; no name says what its file is."""
    template, licence = tmp_path / "t", tmp_path / "LICENSE"
    template.write_text("{{ x }}")
    licence.write_text("MIT")
    (tmp_path / "more").mkdir()
    again = tmp_path / "more" / "LICENSE"
    again.write_text("other")
    return {
        "gguf": write_tiny_gguf(tmp_path / "tiny.gguf"),
        "mmproj": write_tiny_gguf(tmp_path / "vision.gguf", architecture="clip", n_vocab=9),
        "chat_template": template,
        "licenses": (licence, again),
    }


def _quiet(_message: str) -> None:
    pass


def _config(store, model) -> dict[str, object]:
    content = store.blobs.read(model.manifest.config.digest, max_bytes=10**6)
    loaded: dict[str, object] = json.loads(content)
    return loaded


def test_modelpack_has_the_types_and_paths_of_the_reference(store, full):
    made = package(store, PackageOptions(**full, format="cncf"), "org/x", _quiet)
    manifest = json.loads(store.manifest_bytes(made))
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    assert [
        (
            each["mediaType"].removeprefix("application/vnd.cncf.model."),
            each["annotations"][FILE_PATH],
            json.loads(each["annotations"][FILE_METADATA])["name"],
        )
        for each in manifest["layers"]
    ] == [
        ("weight.v1.raw", "tiny.gguf", "tiny.gguf"),
        ("weight.v1.raw", "mmproj-vision.gguf", "mmproj-vision.gguf"),
        ("weight.config.v1.raw", "t.jinja", "t.jinja"),
        ("doc.v1.raw", "LICENSE", "LICENSE"),
        ("doc.v1.raw", "LICENSE-2", "LICENSE-2"),
    ]
    assert _config(store, made) == {
        "descriptor": {},
        "modelfs": {"type": "layers", "diffIds": [each["digest"] for each in manifest["layers"]]},
        "config": {
            "architecture": "llama",
            "format": "gguf",
            "paramSize": "512",
            "quantization": "F32",
        },
    }


def test_modelpack_knows_its_files_again(store, full):
    made = package(store, PackageOptions(**full, format="cncf"), "org/x", _quiet)
    assert made.mmproj_path is not None
    assert made.mmproj_path.read_bytes() == full["mmproj"].read_bytes()
    assert made.chat_template_path is not None
    assert made.chat_template_path.read_text() == "{{ x }}"
    assert [each.read_bytes() for each in made.weight_paths] == [full["gguf"].read_bytes()]
    assert [each.read_text() for each in made.license_paths] == ["MIT", "other"]
    assert (made.config.parameters, made.config.size) == ("512", "2.59KiB")


def test_modelpack_says_a_time_only_when_asked(store, full):
    options = PackageOptions(**full, format="cncf", created_s=86_400)
    made = package(store, options, "org/x", _quiet)
    assert _config(store, made)["descriptor"] == {"createdAt": "1970-01-02T00:00:00Z"}
    assert made.created == 86_400


def test_modelpack_has_no_context_size(store, full):
    with pytest.raises(InvalidParameterError) as caught:
        package(store, PackageOptions(**full, format="cncf", context_size=5), "org/x", _quiet)
    assert str(caught.value) == (
        "'context_size' is not supported with --format cncf: the CNCF ModelPack specification "
        "does not define a context size field"
    )


def _whole(folder: Path) -> PackageOptions:
    # Every name says what its file is: ModelPack has nothing to change.
    template = folder / "t.jinja"
    template.write_text("{{ x }}")
    return PackageOptions(
        gguf=write_tiny_gguf(folder / "m.gguf"),
        mmproj=write_tiny_gguf(folder / "mmproj.gguf", architecture="clip", n_vocab=9),
        chat_template=template,
    )


SOURCES: dict[str, Callable[[Path], PackageOptions]] = {
    "whole": _whole,
    "shards": lambda folder: PackageOptions(gguf=write_shards(folder, 3)[0]),
    "folder": lambda folder: PackageOptions(safetensors_dir=write_folder(folder / "f")),
}


@pytest.mark.parametrize("kind", [*SOURCES])
def test_to_modelpack_and_back_is_the_same_model(store, tmp_path, kind):
    docker = package(store, SOURCES[kind](tmp_path), "org/docker", _quiet)
    cncf = package(store, PackageOptions(source="org/docker", format="cncf"), "org/cncf", _quiet)
    back = package(store, PackageOptions(source="org/cncf"), "org/back", _quiet)
    assert cncf.id != docker.id
    assert {each.digest for each in cncf.manifest.layers} == {
        each.digest for each in docker.manifest.layers
    }
    assert back.manifest.layers == docker.manifest.layers
    assert back.manifest.config.media_type == docker.manifest.config.media_type
    assert (back.id == docker.id) == (kind != "folder")


def test_modelpack_repackaged_as_modelpack_keeps_what_it_says(store, tmp_path):
    types = {"config_type": artifact.CONFIG_CNCF, "layer_type": modelpack.WEIGHT}
    source = add(store, "org/x", b"weights", **types)
    licence = tmp_path / "LICENSE"
    licence.write_text("MIT")
    options = PackageOptions(source="org/x", format="cncf", licenses=(licence,))
    made = package(store, options, "org/y", _quiet)
    before, after = _config(store, source), _config(store, made)
    assert after.pop("modelfs") == {
        "type": "layers",
        "diffIds": [each.digest for each in made.manifest.layers],
    }
    assert after == before
    assert made.manifest.layers[0] == source.manifest.layers[0]
    assert made.manifest.layers[1].media_type == modelpack.DOC


def test_modelpack_repackaged_with_a_context_becomes_dockers(store, full):
    package(store, PackageOptions(**full, format="cncf"), "org/x", _quiet)
    made = package(store, PackageOptions(source="org/x", context_size=64), "org/y", _quiet)
    assert made.config.context_size == 64
    assert made.manifest.config.media_type == artifact.CONFIG_V01
    assert made.manifest.artifact_type == ""


def test_dockers_model_without_names_gets_some(store):
    add(store, "org/old", b"weights")
    made = package(store, PackageOptions(source="org/old", format="cncf"), "org/x", _quiet)
    assert made.manifest.layers[0].annotations[FILE_PATH] == "model.gguf"
    assert len(made.weight_paths) == 1


def test_archive_in_a_modelpack_cannot_become_dockers(store):
    add(
        store,
        "org/x",
        b"weights",
        config_type=artifact.CONFIG_CNCF,
        layer_type="application/vnd.cncf.model.weight.v1.tar+gzip",
    )
    with pytest.raises(UnsupportedParameterError, match="holds an archive"):
        package(store, PackageOptions(source="org/x"), "org/y", _quiet)
