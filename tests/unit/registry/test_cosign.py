"""The format of cosign's specification, byte by byte where it matters."""

import base64
import json

import pytest

from pyrunner.errors import RegistryProtocolError
from pyrunner.registry import cosign
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import Descriptor, Manifest, decode_manifest
from pyrunner.registry.reference import Reference

MODEL = Reference.parse("localhost:5000/test/tiny:v1")
DIGEST = Digest.of(b"a manifest")
PAYLOAD = cosign.encode_payload(MODEL, DIGEST)


def _layer(**changes) -> Descriptor:
    usual = cosign.layer(PAYLOAD, b"signature")
    fields = {each: getattr(usual, each) for each in usual.__struct_fields__}
    return Descriptor(**(fields | changes))


def test_tag_is_made_of_the_models_digest():
    place = cosign.signature_reference(MODEL, DIGEST)
    assert str(place) == f"localhost:5000/test/tiny:sha256-{DIGEST.hex}.sig"


def test_tag_of_a_model_named_by_digest_is_the_same():
    by_digest = Reference.parse(f"localhost:5000/test/tiny@{DIGEST}")
    places = [cosign.signature_reference(each, DIGEST) for each in (MODEL, by_digest)]
    assert places[0] == places[1]


def test_payload_is_cosigns():
    assert json.loads(PAYLOAD) == {
        "critical": {
            "identity": {"docker-reference": "localhost:5000/test/tiny"},
            "image": {"docker-manifest-digest": DIGEST},
            "type": "cosign container image signature",
        },
        "optional": None,
    }
    assert cosign.signed_digest(PAYLOAD, source="here") == DIGEST


def test_payload_that_cosign_wrote_is_read():
    # Spaces, annotations of the signer and unknown keys: none of them matters.
    payload = json.loads(PAYLOAD) | {"optional": {"creator": "me", "n": 1}, "more": True}
    assert cosign.signed_digest(json.dumps(payload, indent=2).encode(), source="here") == DIGEST


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        PAYLOAD.replace(b"cosign container", b"atomic container"),
        PAYLOAD.replace(b"docker-manifest-digest", b"docker-manifest"),
    ],
    ids=["empty", "list", "no claim", "no UTF-8", "deep", "another type", "no digest"],
)
def test_payload_that_is_none_is_refused(payload):
    with pytest.raises(RegistryProtocolError, match="payload"):
        cosign.signed_digest(payload, source="here")


def test_artifact_holds_every_signature_and_a_config_of_an_image():
    layers = [cosign.layer(PAYLOAD, b"first"), cosign.layer(PAYLOAD, b"second")]
    content, config, config_content = cosign.artifact(layers)
    manifest = decode_manifest(content, source="here")
    assert manifest.config == config
    assert Digest.of(config_content) == config.digest
    assert json.loads(config_content)["rootfs"]["diff_ids"] == [Digest.of(PAYLOAD)] * 2
    raw = json.loads(content)["layers"][0]
    assert raw["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    annotation = raw["annotations"]["dev.cosignproject.cosign/signature"]
    assert base64.b64decode(annotation) == b"first"
    assert [signature for _, signature in cosign.signatures(manifest)] == [b"first", b"second"]


@pytest.mark.parametrize(
    "layer",
    [
        _layer(media_type="application/octet-stream"),
        _layer(size=cosign.MAX_PAYLOAD_BYTES + 1),
        _layer(annotations={}),
        _layer(annotations={cosign.SIGNATURE: "not base64!"}),
        _layer(annotations={cosign.SIGNATURE: ""}),
    ],
    ids=["type", "size", "no signature", "no base64", "empty"],
)
def test_layer_that_is_no_signature_is_left_out(layer):
    _, config, _ = cosign.artifact([])
    manifest = Manifest(schema_version=2, config=config, layers=(layer, _layer()))
    assert cosign.signatures(manifest) == [(_layer(), b"signature")]


def test_no_more_signatures_are_looked_at_than_the_limit():
    _, config, _ = cosign.artifact([])
    manifest = Manifest(schema_version=2, config=config, layers=(_layer(),) * 1000)
    assert len(cosign.signatures(manifest)) == cosign.MAX_SIGNATURES
