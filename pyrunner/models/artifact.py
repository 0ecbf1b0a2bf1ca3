"""What Docker's model artifacts consist of: media types, the config blob, kinds of layers.

The types are exact (reference, sections 2.1 to 2.4); CNCF ModelPack is read, not written.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec

from pyrunner.errors import RegistryProtocolError, UnsupportedArtifactError
from pyrunner.registry.manifest import Descriptor, Manifest, decode_manifest, index_media_type
from pyrunner.registry.reference import Reference

CONFIG_V01 = "application/vnd.docker.ai.model.config.v0.1+json"
CONFIG_V02 = "application/vnd.docker.ai.model.config.v0.2+json"
CONFIG_CNCF = "application/vnd.cncf.model.config.v1+json"
CONFIG_TYPES = (CONFIG_V01, CONFIG_V02, CONFIG_CNCF)

GGUF = "application/vnd.docker.ai.gguf.v3"
SAFETENSORS = "application/vnd.docker.ai.safetensors"
DDUF = "application/vnd.docker.ai.dduf"
MMPROJ = "application/vnd.docker.ai.mmproj"
CHAT_TEMPLATE = "application/vnd.docker.ai.chat.template.jinja"
MODEL_FILE = "application/vnd.docker.ai.model.file"
LICENSE = "application/vnd.docker.ai.license"
_CNCF_WEIGHT = "application/vnd.cncf.model.weight.v1."
_CNCF_CONFIG_FILE = "application/vnd.cncf.model.weight.config.v1.raw"
_CNCF_DOC = "application/vnd.cncf.model.doc.v1.raw"

FILE_PATH = "org.cncf.model.filepath"
FILE_METADATA = "org.cncf.model.file.metadata+json"
FILE_UNTESTED = "org.cncf.model.file.mediatype.untested"

MAX_CONFIG_BYTES = 4 * 1024 * 1024
"""Largest config blob that is read."""


class LayerKind(Enum):
    """What a layer is for."""

    GGUF = "gguf"
    MMPROJ = "mmproj"
    CHAT_TEMPLATE = "chat template"
    LICENSE = "license"
    OTHER = "other"
    """Weights we cannot run, tokenizer files, archives: stored and pushed, not used."""


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Docker's ``config`` object; `msgspec.to_builtins` gives its JSON form without empty keys."""

    format: str = ""
    quantization: str = ""
    parameters: str = ""
    architecture: str = ""
    size: str = ""
    gguf: dict[str, Any] = {}
    """Selected GGUF metadata, every value as text."""
    safetensors: dict[str, Any] = {}
    diffusers: dict[str, Any] = {}
    context_size: int | None = None
    """Tokens; -1 means unlimited."""
    is_context_chosen: bool = False
    """Whether somebody asked for `context_size`. Ours, not Docker's: Docker's tools write the
    trained size unasked, and nothing else tells the two apart."""


class ArtifactConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A config blob, whichever of the known types it had."""

    config: ModelConfig
    created: int
    """Unix seconds, 0 when unknown."""


class _Descriptor(msgspec.Struct):
    created: str | None = None
    created_at: str | None = msgspec.field(name="createdAt", default=None)


class _CncfConfig(msgspec.Struct):
    architecture: str = ""
    format: str = ""
    param_size: str = msgspec.field(name="paramSize", default="")
    precision: str = ""
    quantization: str = ""


class _File(msgspec.Struct):
    config: msgspec.Raw = msgspec.Raw(b"{}")
    descriptor: _Descriptor = msgspec.field(default_factory=_Descriptor)
    modelfs: msgspec.Raw = msgspec.Raw(b"")


def model_manifest(content: bytes, reference: Reference) -> Manifest:
    """Read a manifest and refuse what is no model before a byte of it is pulled.

    Args:
        content: The manifest as a registry sent it.
        reference: Where it came from, for the error.

    Raises:
        UnsupportedArtifactError: An index, or a config of none of `CONFIG_TYPES`.
        RegistryProtocolError: No manifest, or a config larger than `MAX_CONFIG_BYTES`.
    """
    registry = reference.registry
    index_type = index_media_type(content, source=registry)
    if index_type is not None:
        raise _unsupported(reference, index_type)
    manifest = decode_manifest(content, source=registry)
    if manifest.config.media_type not in CONFIG_TYPES:
        raise _unsupported(reference, manifest.config.media_type)
    if manifest.config.size > MAX_CONFIG_BYTES:
        raise RegistryProtocolError(
            registry=registry, problem=f"a model config of more than {MAX_CONFIG_BYTES} bytes"
        )
    return manifest


def _unsupported(reference: Reference, media_type: str) -> UnsupportedArtifactError:
    known = ", ".join(f'"{each}"' for each in CONFIG_TYPES)
    return UnsupportedArtifactError(
        reference=str(reference),
        media_type=media_type[:200],
        hint=f"(supported: {known}) - try upgrading: unsupported model config media type",
    )


def parse_config(content: bytes, *, source: str) -> ArtifactConfig:
    """Read a config blob of Docker's or ModelPack's form.

    Args:
        content: The bytes, already compared with their digest.
        source: Where they came from, for the error.

    Raises:
        RegistryProtocolError: Not such a JSON document.
    """
    try:
        file = msgspec.json.decode(content, type=_File)
        is_cncf = bytes(file.modelfs) != b"" or file.descriptor.created_at is not None
        if is_cncf or b'"paramSize"' in bytes(file.config):
            config = _flatten(msgspec.json.decode(file.config, type=_CncfConfig))
        else:
            config = msgspec.json.decode(file.config, type=ModelConfig)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RegistryProtocolError(
            registry=source, problem=f"a model config that cannot be read ({error})"
        ) from error
    created = file.descriptor.created or file.descriptor.created_at
    return ArtifactConfig(config=config, created=_unix_seconds(created))


def encode_config(config: ModelConfig, diff_ids: Sequence[str]) -> bytes:
    """The config blob of a Docker artifact; equal arguments give equal bytes.

    It says nothing of when it was made, so that packaging again gives the same model id.
    """
    document = {
        "config": config,
        "descriptor": {},
        "rootfs": {"type": "rootfs", "diff_ids": list(diff_ids)},
    }
    return msgspec.json.encode(document)


def layer_kind(layer: Descriptor, config: ModelConfig) -> LayerKind:
    """What a layer is, from its media type and, for ModelPack, its file name."""
    known = {
        GGUF: LayerKind.GGUF,
        MMPROJ: LayerKind.MMPROJ,
        CHAT_TEMPLATE: LayerKind.CHAT_TEMPLATE,
        LICENSE: LayerKind.LICENSE,
        _CNCF_DOC: LayerKind.LICENSE,
    }.get(layer.media_type)
    if known is not None:
        return known
    name = file_name(layer).lower()
    if layer.media_type in {_CNCF_CONFIG_FILE, MODEL_FILE}:
        return LayerKind.CHAT_TEMPLATE if name.endswith(".jinja") else LayerKind.OTHER
    if layer.media_type.startswith(_CNCF_WEIGHT) and "+" not in layer.media_type:
        is_gguf = layer.media_type.endswith(".gguf") or name.endswith(".gguf")
        if is_gguf or (not name and config.format == "gguf"):
            return LayerKind.MMPROJ if "mmproj" in name else LayerKind.GGUF
    return LayerKind.OTHER


def file_name(layer: Descriptor) -> str:
    """The last part of the annotated path; only ever compared, never opened."""
    return layer.annotations.get(FILE_PATH, "").replace("\\", "/").rsplit("/", 1)[-1]


def _flatten(config: _CncfConfig) -> ModelConfig:
    return ModelConfig(
        format=config.format,
        quantization=config.quantization or config.precision,
        parameters=config.param_size,
        architecture=config.architecture,
        size=config.param_size,
    )


def _unix_seconds(text: str | None) -> int:
    try:
        return max(0, int(datetime.fromisoformat(text or "").timestamp()))
    except (ValueError, OverflowError):
        return 0
