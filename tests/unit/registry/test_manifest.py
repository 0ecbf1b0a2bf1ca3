import json

import pytest

from pyrunner.errors import RegistryProtocolError
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import (
    DOCKER_INDEX_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    MAX_MANIFEST_BYTES,
    Descriptor,
    Manifest,
    decode_index,
    decode_manifest,
    encode,
    index_media_type,
)

CONFIG = {"mediaType": "application/x", "size": 2, "digest": Digest.of(b"{}").text}


def _manifest(**changes: object) -> bytes:
    return json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": CONFIG, "layers": []} | changes
    ).encode()


def test_manifest_survives_a_round_trip():
    layer = Descriptor(media_type="a/b", size=3, digest=Digest.of(b"abc"), annotations={"k": "v"})
    config = Descriptor(media_type="a/c", size=2, digest=Digest.of(b"{}"))
    manifest = Manifest(
        schema_version=2, media_type=MANIFEST_TYPE, config=config, layers=(layer, layer)
    )
    assert decode_manifest(encode(manifest), source="x") == manifest
    assert manifest.size_bytes == 3
    assert manifest.blobs == (config, layer)


def test_manifest_with_unknown_fields_is_read():
    assert decode_manifest(_manifest(subject={}, x=[1]), source="x").config.size == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        _manifest(schemaVersion=1),
        _manifest(layers=None),
        _manifest(config={}),
        _manifest(config=CONFIG | {"size": -1}),
        _manifest(config=CONFIG | {"size": 2**63}),
        _manifest(config=CONFIG | {"size": "2"}),
        _manifest(config=CONFIG | {"digest": "sha256:../../x"}),
        _manifest(layers=[CONFIG | {"annotations": {"a": 1}}]),
        b" " * (MAX_MANIFEST_BYTES + 1),
    ],
)
def test_manifest_that_is_none_is_refused_with_its_source(content):
    with pytest.raises(RegistryProtocolError) as caught:
        decode_manifest(content, source="registry.example")
    assert caught.value.registry == "registry.example"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"mediaType": INDEX_TYPE, "manifests": []}, INDEX_TYPE),
        ({"mediaType": DOCKER_INDEX_TYPE, "manifests": []}, DOCKER_INDEX_TYPE),
        ({"manifests": []}, INDEX_TYPE),
        ({"mediaType": MANIFEST_TYPE}, None),
        ({}, None),
    ],
)
def test_index_is_told_from_a_manifest(document, expected):
    assert index_media_type(json.dumps(document).encode(), source="x") == expected


def test_index_with_a_bad_descriptor_is_refused():
    content = json.dumps({"schemaVersion": 2, "manifests": [{"digest": "x"}]}).encode()
    with pytest.raises(RegistryProtocolError):
        decode_index(content, source="x")
