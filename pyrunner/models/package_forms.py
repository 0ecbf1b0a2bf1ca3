"""The two forms of a model artifact: Docker's and CNCF ModelPack's, and from one to the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from pyrunner import gguf
from pyrunner.models import artifact, modelpack, rewriting
from pyrunner.models.artifact import LayerKind, ModelConfig, layer_kind
from pyrunner.models.layer_types import to_cncf, to_docker
from pyrunner.models.package_sources import gguf_config
from pyrunner.models.store import Store
from pyrunner.models.stored import StoredModel
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import (
    MANIFEST_TYPE,
    Descriptor,
    Manifest,
    decode_manifest,
    encode,
)

Form = Literal["docker", "cncf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A model whose config and manifest are not written yet."""

    config: ModelConfig
    config_type: str
    """Docker's, for that form."""
    layers: tuple[Descriptor, ...]
    """In the types of either form."""
    created_s: int | None
    """Unix seconds; None says nothing, so that the same input gives the same model id."""


@dataclass(frozen=True, slots=True)
class Written:
    """A config blob, and the manifest over it and the layers."""

    config: Descriptor
    config_content: bytes
    manifest: Manifest
    manifest_content: bytes
    """The manifest's bytes, which make the model's id."""


def form_of(config_type: str) -> Form:
    """Which form an artifact with such a config has."""
    return "cncf" if config_type == artifact.CONFIG_CNCF else "docker"


def write(draft: Draft, form: Form) -> Written:
    """Write a draft in one of the forms."""
    if form == "docker":
        layers = to_docker(draft.layers, draft.config)
        content = artifact.encode_config(draft.config, _digests(layers), draft.created_s)
        return _written(draft.config_type, content, layers)
    layers = to_cncf(draft.layers, draft.config)
    shown = {
        "architecture": draft.config.architecture,
        "format": draft.config.format,
        "paramSize": draft.config.parameters,
        "quantization": draft.config.quantization,
    }
    created_at = None if draft.created_s is None else artifact.rfc3339(draft.created_s)
    content = modelpack.encode_config(shown, _digests(layers), created_at)
    return _written(artifact.CONFIG_CNCF, content, layers)


def rewrite(
    store: Store, source: StoredModel, layers: Sequence[Descriptor], context_size: int | None
) -> Written:
    """Write a model of the store with other layers or context, in the form it has.

    Whatever else its config, manifest and descriptors say is kept, also what we do not know.
    """
    form = form_of(source.manifest.config.media_type)
    typed = to_cncf(layers, source.config) if form == "cncf" else tuple(layers)
    raw = store.blobs.read(source.manifest.config.digest, max_bytes=artifact.MAX_CONFIG_BYTES)
    content = rewriting.config(raw, form, source.manifest.layers, typed)
    if context_size is not None:
        content = rewriting.with_context(content, context_size)
    described = msgspec.structs.replace(
        source.manifest.config, size=len(content), digest=Digest.of(content)
    )
    manifest = rewriting.manifest(
        store.manifest_bytes(source), described, list(zip(layers, typed, strict=True))
    )
    return Written(described, content, decode_manifest(manifest, source="manifest"), manifest)


def docker_config(source: StoredModel) -> tuple[ModelConfig, str]:
    """What Docker's config of a ModelPack model says, and the media type it has.

    Of GGUF weights the headers are read again: ModelPack has no place for most of it.
    """
    if source.weight_paths:
        headers = [gguf.read_header(each) for each in source.weight_paths]
        return gguf_config(headers), artifact.CONFIG_V01
    kinds = {layer_kind(each, source.config) for each in source.manifest.layers}
    is_folder = LayerKind.SAFETENSORS in kinds
    return source.config, artifact.CONFIG_V02 if is_folder else artifact.CONFIG_V01


def _written(config_type: str, content: bytes, layers: Sequence[Descriptor]) -> Written:
    config = Descriptor(media_type=config_type, size=len(content), digest=Digest.of(content))
    manifest = Manifest(
        schema_version=2,
        media_type=MANIFEST_TYPE,
        artifact_type=modelpack.ARTIFACT_TYPE if form_of(config_type) == "cncf" else "",
        config=config,
        layers=tuple(layers),
    )
    return Written(config, content, manifest, encode(manifest))


def _digests(layers: Sequence[Descriptor]) -> list[str]:
    return [each.digest.text for each in layers]
