"""Descriptors, manifests and indexes of the OCI image specification, typed and checked."""

from typing import Annotated, Any, TypeVar

import msgspec

from pyrunner.errors import InvalidReferenceError, RegistryProtocolError
from pyrunner.registry.digest import Digest

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEX_TYPES = frozenset({INDEX_TYPE, DOCKER_INDEX_TYPE})
ACCEPTED_TYPES = (MANIFEST_TYPE, DOCKER_MANIFEST_TYPE, INDEX_TYPE, DOCKER_INDEX_TYPE)

REF_NAME = "org.opencontainers.image.ref.name"
"""Annotation of an index entry: the full normalised reference."""

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""Largest manifest or index accepted, the limit the OCI specification suggests."""

_Size = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_MediaType = Annotated[str, msgspec.Meta(pattern=r"\A[\x20-\x7e]{0,255}\Z")]
"""Shorter and plainer than RFC 6838 asks for: it ends up on terminals."""
T = TypeVar("T")


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a blob is, how long it is and how to recognise it."""

    media_type: _MediaType
    size: _Size
    """Bytes."""
    digest: Digest
    annotations: dict[str, str] = {}

    def with_annotations(self, annotations: dict[str, str]) -> "Descriptor":
        """The same blob, described with exactly these annotations."""
        return msgspec.structs.replace(self, annotations=annotations)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A config and layers."""

    schema_version: int
    media_type: _MediaType = ""
    artifact_type: _MediaType = ""
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config and the layers, each digest once, in order."""
        return tuple({each.digest: each for each in (self.config, *self.layers)}.values())

    @property
    def size_bytes(self) -> int:
        """Bytes of all layers, each digest once."""
        return sum({each.digest: each.size for each in self.layers}.values())


class Index(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A list of manifests; the ``index.json`` of an image layout."""

    schema_version: int
    media_type: _MediaType = ""
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class _Kind(msgspec.Struct, rename="camel"):
    media_type: _MediaType = ""
    manifests: msgspec.Raw = msgspec.Raw(b"")


def encode(value: Manifest | Index) -> bytes:
    """The JSON form; equal values give equal bytes."""
    return msgspec.json.encode(value, enc_hook=_enc_hook, order="deterministic")


def decode_manifest(content: bytes, *, source: str) -> Manifest:
    """Read a manifest.

    Args:
        content: The bytes, already compared with their digest.
        source: Where they came from, for the error.

    Raises:
        RegistryProtocolError: No OCI image manifest, or too large.
    """
    manifest = _decode(content, Manifest, source)
    if manifest.schema_version != 2:
        raise RegistryProtocolError(registry=source, problem="a manifest of another schema version")
    sizes: dict[Digest, int] = {}
    for each in (manifest.config, *manifest.layers):
        if sizes.setdefault(each.digest, each.size) != each.size:
            problem = f"a manifest that gives {each.digest.short} two sizes"
            raise RegistryProtocolError(registry=source, problem=problem)
    return manifest


def decode_index(content: bytes, *, source: str) -> Index:
    """Read an index.

    Raises:
        RegistryProtocolError: No OCI image index, or too large.
    """
    return _decode(content, Index, source)


def index_media_type(content: bytes, *, source: str) -> str | None:
    """The media type if these bytes are an index (several images), None if they are not.

    Raises:
        RegistryProtocolError: No JSON object, or too large.
    """
    kind = _decode(content, _Kind, source)
    if kind.media_type in INDEX_TYPES:
        return kind.media_type
    return INDEX_TYPE if bytes(kind.manifests) and not kind.media_type else None


def _enc_hook(value: Any) -> str:
    return str.__str__(value)


def _dec_hook(kind: type, value: Any) -> Any:
    try:
        return kind(value)
    except InvalidReferenceError as error:
        raise ValueError(error.sentence) from error


def _decode(content: bytes, kind: type[T], source: str) -> T:
    if len(content) > MAX_MANIFEST_BYTES:
        raise RegistryProtocolError(
            registry=source, problem=f"a manifest of more than {MAX_MANIFEST_BYTES} bytes"
        )
    try:
        return msgspec.json.decode(content, type=kind, dec_hook=_dec_hook)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RegistryProtocolError(
            registry=source, problem=f"a manifest that cannot be read ({error})"
        ) from error
