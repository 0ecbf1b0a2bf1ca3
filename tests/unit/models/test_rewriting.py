"""Packaging a model again keeps what its documents say, also what we do not know."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.artifacts import described, new_store

from pyrunner.models import artifact, modelpack
from pyrunner.models.packaging import PackageOptions, package
from pyrunner.models.store import Store, StoredModel
from pyrunner.registry.digest import Digest

WEIGHTS, ARCHIVE, TEMPLATE = b"weights", b"an archive", b"{{ old }}"
UNCOMPRESSED = Digest.of(b"what is in the archive").text
SUBJECT = {"mediaType": "x/y", "size": 1, "digest": Digest.of(b"s").text, "future": 1}


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


def _row(content: bytes, media_type: str, **more: object) -> dict[str, object]:
    digest = Digest.of(content).text
    return {"size": len(content), "mediaType": media_type, "digest": digest} | more


def _put(store: Store, config: dict[str, Any], config_type: str, layers: list[Any]) -> StoredModel:
    blob = json.dumps(config).encode()
    document = {
        "future": {"big": 12345678901234567890123},
        "schemaVersion": 2,
        "subject": SUBJECT,
        "config": _row(blob, config_type, annotations={"k": "v"}, data="e30=", future=[None]),
        "layers": layers,
        "artifactType": "application/x",
        "annotations": {"a": "b"},
    }
    content = json.dumps(document, indent=1).encode()
    contents = (blob, WEIGHTS, ARCHIVE, TEMPLATE)
    with store.lease([Digest.of(each) for each in (content, *contents)]) as lease:
        for each in contents:
            store.put_blob(described(each), each, lease)
        return store.put(content, store.parse("org/x"), lease)


def _docker(store: Store, **config: object) -> StoredModel:
    urls = {"urls": ["https://a/"], "platform": {"os": "any"}, "artifactType": "t"}
    layers = [
        _row(TEMPLATE, artifact.CHAT_TEMPLATE, future=0),
        _row(WEIGHTS, artifact.GGUF, annotations={"a": "b"}, **urls),
        _row(WEIGHTS, artifact.GGUF, annotations={"a": "c"}, urls=["https://c/"]),
    ]
    return _put(
        store, {"future": 1.50, "config": {"n": 1e30}} | config, artifact.CONFIG_V01, layers
    )


def _manifest(store: Store, model: StoredModel) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(store.manifest_bytes(model))
    return loaded


def _config(store: Store, model: StoredModel) -> dict[str, Any]:
    content = store.blobs.read(model.manifest.config.digest, max_bytes=10**6)
    loaded: dict[str, Any] = json.loads(content)
    return loaded


def _again(store: Store, **options: Any) -> StoredModel:
    return package(store, PackageOptions(source="org/x", **options), "org/y", lambda _: None)


def test_unknown_fields_of_manifest_and_descriptors_are_kept(store):
    before = _manifest(store, _docker(store))
    after = _manifest(store, _again(store, context_size=64))
    for each in (before, after):
        del each["config"]
    assert after == before


def test_config_descriptor_keeps_what_is_not_of_its_bytes(store):
    before = _manifest(store, _docker(store))["config"]
    after = _manifest(store, _again(store, context_size=64))["config"]
    assert after["digest"] != before["digest"]
    assert {key: after.get(key) for key in ("mediaType", "annotations", "future", "data")} == {
        "mediaType": artifact.CONFIG_V01,
        "annotations": {"k": "v"},
        "future": [None],
        "data": None,
    }


def test_unknown_values_of_a_config_keep_their_bytes(store):
    _docker(store)
    made = _again(store, context_size=64)
    content = store.blobs.read(made.manifest.config.digest, max_bytes=10**6)
    assert b'"future":1.5' in content
    assert b'"n":1e+30' in content
    assert (made.config.context_size, made.config.is_context_chosen) == (64, True)


def test_number_too_large_for_us_is_kept(store):
    _docker(store)
    assert b"12345678901234567890123" in store.manifest_bytes(_again(store, context_size=64))


def test_replaced_layer_goes_and_the_others_keep_what_is_said_of_them(store, tmp_path):
    before = _manifest(store, _docker(store))["layers"]
    template = tmp_path / "new.jinja"
    template.write_text("{{ new }}")
    after = _manifest(store, _again(store, chat_template=template))["layers"]
    assert after[:-1] == before[1:]
    assert "future" not in after[-1]


@pytest.mark.parametrize("said", [None, {}])
def test_config_that_says_nothing_gets_a_context(store, said):
    _docker(store, config=said)
    assert _again(store, context_size=64).config.context_size == 64


def test_compressed_layer_keeps_its_uncompressed_digest(store, tmp_path):
    archive = "application/vnd.cncf.model.weight.v1.tar+gzip"
    layers = [_row(ARCHIVE, archive, urls=["https://a/"]), _row(WEIGHTS, modelpack.WEIGHT)]
    ids = [UNCOMPRESSED, Digest.of(WEIGHTS).text]
    config = {"modelfs": {"type": "layers", "diffIds": ids, "future": 1}, "config": {}}
    before = _put(store, config, artifact.CONFIG_CNCF, layers)
    made = _again(store, format="cncf", licenses=(_licence(tmp_path),))
    assert _config(store, made)["modelfs"] == {
        "type": "layers",
        "diffIds": [*ids, made.manifest.layers[-1].digest.text],
        "future": 1,
    }
    assert _manifest(store, made)["layers"][:2] == _manifest(store, before)["layers"]


@pytest.mark.parametrize("ids", [[UNCOMPRESSED], None, [1, 2, 3], {}])
def test_list_of_layers_that_does_not_fit_is_made_anew(store, tmp_path, ids):
    _docker(store, rootfs={"diff_ids": ids})
    made = _again(store, licenses=(_licence(tmp_path),))
    digests = [each.digest.text for each in made.manifest.layers]
    assert _config(store, made)["rootfs"] == {"type": "rootfs", "diff_ids": digests}


def _licence(folder: Path) -> Path:
    path = folder / "LICENSE"
    path.write_text("MIT")
    return path
