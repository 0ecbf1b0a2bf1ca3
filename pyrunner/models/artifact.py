"""What model artifacts consist of: Docker's media types, the config blob, kinds of layers.

The types are exact (reference, sections 2.1 to 2.4); those of CNCF are in `modelpack`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import msgspec

from pyrunner import units
from pyrunner.errors import RegistryProtocolError, UnsupportedArtifactError
from pyrunner.models import modelpack
from pyrunner.registry.manifest import Descriptor, Manifest, decode_manifest, index_media_type
from pyrunner.registry.reference import Reference

CONFIG_V01 = "application/vnd.docker.ai.model.config.v0.1+json"
CONFIG_V02 = "application/vnd.docker.ai.model.config.v0.2+json"
CONFIG_CNCF = modelpack.CONFIG_TYPE
CONFIG_TYPES = (CONFIG_V01, CONFIG_V02, CONFIG_CNCF)

GGUF = "application/vnd.docker.ai.gguf.v3"
SAFETENSORS = "application/vnd.docker.ai.safetensors"
DDUF = "application/vnd.docker.ai.dduf"
MMPROJ = "application/vnd.docker.ai.mmproj"
CHAT_TEMPLATE = "application/vnd.docker.ai.chat.template.jinja"
MODEL_FILE = "application/vnd.docker.ai.model.file"
LICENSE = "application/vnd.docker.ai.license"

FILE_PATH = "org.cncf.model.filepath"
FILE_METADATA = "org.cncf.model.file.metadata+json"
FILE_UNTESTED = "org.cncf.model.file.mediatype.untested"

MAX_CONFIG_BYTES = 4 * 1024 * 1024
"""Largest config blob that is read."""
MAX_CONTEXT_SIZE = 2**31 - 1
"""Tokens; Docker's `context_size` has 32 bits."""

_SHOWN_TEXTS = ("quantization", "parameters", "architecture", "size")
_SHOWN_OBJECTS = ("gguf", "safetensors", "diffusers")


class LayerKind(Enum):
    """What a layer is for."""

    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    """Weights that are stored and pushed, not run."""
    DDUF = "dduf"
    """The same."""
    MMPROJ = "mmproj"
    CHAT_TEMPLATE = "chat template"
    LICENSE = "license"
    OTHER = "other"
    """Tokenizer files, archives, what we do not know: stored and pushed, not used."""


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


class _File(msgspec.Struct):
    config: dict[str, msgspec.Raw] | None = None
    descriptor: msgspec.Raw = msgspec.Raw(b"{}")
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
    return check_model(content, name=str(reference), source=reference.registry)


def check_model(content: bytes, *, name: str, source: str) -> Manifest:
    """The same for a manifest that came from elsewhere.

    Args:
        content: The manifest.
        name: What the model is called in the error that it is none.
        source: Where it came from, for the other one.

    Raises:
        UnsupportedArtifactError: As `model_manifest`.
        RegistryProtocolError: As `model_manifest`.
    """
    index_type = index_media_type(content, source=source)
    if index_type is not None:
        raise _unsupported(name, index_type)
    manifest = decode_manifest(content, source=source)
    if manifest.config.media_type not in CONFIG_TYPES:
        raise _unsupported(name, manifest.config.media_type)
    if manifest.config.size > MAX_CONFIG_BYTES:
        raise RegistryProtocolError(
            registry=source, problem=f"a model config of more than {MAX_CONFIG_BYTES} bytes"
        )
    return manifest


def _unsupported(name: str, media_type: str) -> UnsupportedArtifactError:
    known = ", ".join(f'"{each}"' for each in CONFIG_TYPES)
    return UnsupportedArtifactError(
        reference=name,
        media_type=media_type[:200],
        hint=f"(supported: {known}) - try upgrading: unsupported model config media type",
    )


def parse_config(content: bytes, *, source: str) -> ArtifactConfig:
    """Read a config blob of Docker's or ModelPack's form.

    Strict in what is used: the format, which decides what the layers are, and the context. The rest
    is only shown, and what of it makes no sense is left out: a model can be pulled, listed and
    pushed without.

    Args:
        content: The bytes, already compared with their digest.
        source: Where they came from, for the error.

    Raises:
        RegistryProtocolError: Not such a JSON document.
    """
    try:
        file = msgspec.json.decode(content, type=_File)
        said = file.config or {}
        about = _object(file.descriptor)
        if modelpack.is_config(
            said,
            has_modelfs=bytes(file.modelfs) != b"",
            has_created_at=about.get("createdAt") is not None,
        ):
            config = _flatten(modelpack.read_config(said))
        else:
            config = _docker_config(said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RegistryProtocolError(
            registry=source, problem=f"a model config that cannot be read ({error})"
        ) from error
    created = about.get("created") or about.get("createdAt")
    return ArtifactConfig(config=config, created=_unix_seconds(created))


def encode_config(
    config: ModelConfig, diff_ids: Sequence[str], created_s: int | None = None
) -> bytes:
    """The config blob of a Docker artifact; equal arguments give equal bytes.

    Without `created_s` (Unix seconds) it says nothing of when it was made, so that packaging again
    gives the same model id.
    """
    document = {
        "config": config,
        "descriptor": {} if created_s is None else {"created": rfc3339(created_s)},
        "rootfs": {"type": "rootfs", "diff_ids": list(diff_ids)},
    }
    return msgspec.json.encode(document)


_KINDS = {
    GGUF: LayerKind.GGUF,
    SAFETENSORS: LayerKind.SAFETENSORS,
    DDUF: LayerKind.DDUF,
    MMPROJ: LayerKind.MMPROJ,
    CHAT_TEMPLATE: LayerKind.CHAT_TEMPLATE,
    LICENSE: LayerKind.LICENSE,
    modelpack.DOC: LayerKind.LICENSE,
}
_WEIGHTS = {each.value: each for each in (LayerKind.GGUF, LayerKind.SAFETENSORS, LayerKind.DDUF)}
"""By the end of a file name, the format of a config, or the end of a legacy ModelPack type."""


def layer_kind(layer: Descriptor, config: ModelConfig) -> LayerKind:
    """What a layer is, from its media type and, for ModelPack, its file name."""
    known = _KINDS.get(layer.media_type)
    if known is not None:
        return known
    name = file_name(layer).lower()
    if layer.media_type in {modelpack.CONFIG_FILE, MODEL_FILE}:
        return LayerKind.CHAT_TEMPLATE if name.endswith(".jinja") else LayerKind.OTHER
    if not layer.media_type.startswith(modelpack.WEIGHT_PREFIX):
        return LayerKind.OTHER
    legacy = layer.media_type.removeprefix(modelpack.WEIGHT_PREFIX)
    if legacy in _WEIGHTS:
        kind = _WEIGHTS[legacy]
    elif layer.media_type == modelpack.WEIGHT:
        kind = _WEIGHTS.get(_suffix(name) if "." in name else config.format, LayerKind.OTHER)
    else:
        return LayerKind.OTHER
    return LayerKind.MMPROJ if kind is LayerKind.GGUF and "mmproj" in name else kind


def completed(config: ModelConfig, manifest: Manifest) -> ModelConfig:
    """A config with what only the manifest says.

    A format that was left out comes from the names of the weights; the size of a ModelPack model
    from its weights, because its config has none.
    """
    weights = [
        (kind, each.size)
        for each in manifest.layers
        if (kind := layer_kind(each, config)) in _WEIGHTS.values()
    ]
    if weights and not config.format:
        config = msgspec.structs.replace(config, format=weights[0][0].value)
    if weights and manifest.config.media_type == CONFIG_CNCF:
        n_bytes = sum(size for _, size in weights)
        config = msgspec.structs.replace(config, size=units.format_bytes(n_bytes))
    return config


def rfc3339(unix_s: int) -> str:
    """A time as the config blobs hold it."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def file_name(layer: Descriptor) -> str:
    """The last part of the annotated path; only ever compared, never opened."""
    return layer.annotations.get(FILE_PATH, "").replace("\\", "/").rsplit("/", 1)[-1]


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]


def _docker_config(said: Mapping[str, msgspec.Raw]) -> ModelConfig:
    used = {
        key: msgspec.json.decode(said[key])
        for key in ("format", "context_size", "is_context_chosen")
        if key in said
    }
    return msgspec.convert(
        {key: value for key, value in used.items() if value is not None}
        | {key: modelpack.shown(said.get(key)) for key in _SHOWN_TEXTS}
        | {key: _object(said.get(key)) for key in _SHOWN_OBJECTS},
        ModelConfig,
    )


def _object(value: msgspec.Raw | None) -> dict[str, Any]:
    try:
        return msgspec.json.decode(value or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _flatten(config: modelpack.Config) -> ModelConfig:
    return ModelConfig(
        format=config.format,
        quantization=config.quantization or config.precision,
        parameters=config.param_size,
        architecture=config.architecture,
    )


def _unix_seconds(said: Any) -> int:
    try:
        return max(0, int(datetime.fromisoformat(said).timestamp()))
    except (TypeError, ValueError, OverflowError):
        return 0
