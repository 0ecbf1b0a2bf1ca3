"""Cosign's signatures as OCI artifacts: payload, manifest, tag. Pure; knows no keys.

Format: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md. A signature is made
over a small JSON document, the payload, which names the digest of a manifest. The payload is a
layer and the signature its annotation; all signatures of one manifest are layers of one artifact,
whose tag is made of the manifest's digest.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from pyrunner.errors import RegistryProtocolError
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MANIFEST_TYPE, Descriptor, Manifest, encode
from pyrunner.registry.reference import Reference

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
"""Annotation of a payload's layer: the signature, base64."""

MAX_PAYLOAD_BYTES = 64 * 1024
MAX_SIGNATURES = 64
"""How many of one artifact are looked at."""

_CLAIM = "cosign container image signature"


class _Identity(msgspec.Struct, rename="kebab"):
    docker_reference: str = ""


class _Image(msgspec.Struct, rename="kebab"):
    docker_manifest_digest: str


class _Critical(msgspec.Struct):
    identity: _Identity
    image: _Image
    type: str


class _Payload(msgspec.Struct):
    critical: _Critical
    optional: dict[str, Any] | None = None


def signature_reference(model: Reference, digest: Digest) -> Reference:
    """Where the signatures of one manifest are: ``sha256-HEX.sig`` in the same repository."""
    return replace(model, tag=f"sha256-{digest.hex}.sig", digest=None)


def encode_payload(model: Reference, digest: Digest) -> bytes:
    """What is signed; equal arguments give equal bytes."""
    critical = _Critical(_Identity(model.name), _Image(digest.text), _CLAIM)
    return msgspec.json.encode(_Payload(critical))


def signed_digest(payload: bytes, *, source: str) -> str:
    """The manifest's digest that a payload claims; what else it says is not looked at.

    Raises:
        RegistryProtocolError: No payload of cosign's.
    """
    try:
        critical = msgspec.json.decode(payload, type=_Payload).critical
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RegistryProtocolError(
            registry=source, problem=f"a signature's payload that cannot be read ({error})"
        ) from error
    if critical.type != _CLAIM:
        raise RegistryProtocolError(
            registry=source, problem=f"a signature's payload of type {critical.type[:100]!r}"
        )
    return critical.image.docker_manifest_digest


def layer(payload: bytes, signature: bytes) -> Descriptor:
    """Describe one signature."""
    return Descriptor(
        media_type=PAYLOAD_TYPE,
        size=len(payload),
        digest=Digest.of(payload),
        annotations={SIGNATURE: base64.b64encode(signature).decode()},
    )


def signatures(manifest: Manifest) -> list[tuple[Descriptor, bytes]]:
    """The payloads of an artifact and their signatures, without what is neither or too large."""
    found = []
    for each in manifest.layers[:MAX_SIGNATURES]:
        if each.media_type != PAYLOAD_TYPE or each.size > MAX_PAYLOAD_BYTES:
            continue
        try:
            signature = base64.b64decode(each.annotations.get(SIGNATURE, ""), validate=True)
        except (binascii.Error, ValueError):
            continue
        if signature:
            found.append((each, signature))
    return found


def artifact(layers: Sequence[Descriptor]) -> tuple[bytes, Descriptor, bytes]:
    """The manifest of these signatures, and its config with descriptor.

    The config is that of an image without files, as cosign writes it.
    """
    content = msgspec.json.encode(
        {
            "architecture": "",
            "created": "0001-01-01T00:00:00Z",
            "history": [{"created": "0001-01-01T00:00:00Z"} for _ in layers],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [each.digest.text for each in layers]},
            "config": {},
        }
    )
    config = Descriptor(media_type=CONFIG_TYPE, size=len(content), digest=Digest.of(content))
    manifest = Manifest(
        schema_version=2, media_type=MANIFEST_TYPE, config=config, layers=tuple(layers)
    )
    return encode(manifest), config, content
