"""The two forms of a model artifact: Docker's and CNCF ModelPack's, and from one to the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from pyrunner import gguf
from pyrunner.models import artifact, modelpack
from pyrunner.models.artifact import LayerKind, ModelConfig, layer_kind
from pyrunner.models.layer_types import to_cncf, to_docker
from pyrunner.models.package_sources import gguf_config
from pyrunner.models.store import Store
from pyrunner.models.stored import StoredModel
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MANIFEST_TYPE, Descriptor, Manifest, encode

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

    @property
    def manifest_content(self) -> bytes:
        """Its bytes, which make the model's id."""
        return encode(self.manifest)


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

    Whatever else its config and manifest say is kept, also what we do not know.
    """
    config = source.manifest.config
    raw = store.blobs.read(config.digest, max_bytes=artifact.MAX_CONFIG_BYTES)
    document: dict[str, Any] = msgspec.json.decode(raw)
    if form_of(config.media_type) == "cncf":
        kept = to_cncf(layers, source.config)
        content = modelpack.with_layers(document, _digests(kept))
    else:
        kept = tuple(layers)
        if context_size is not None:
            document.setdefault("config", {}).update(
                context_size=context_size, is_context_chosen=True
            )
        document["rootfs"] = {"type": "rootfs", "diff_ids": _digests(kept)}
        content = msgspec.json.encode(document)
    written = _written(config.media_type, content, kept)
    manifest = msgspec.structs.replace(
        written.manifest,
        artifact_type=source.manifest.artifact_type,
        annotations=source.manifest.annotations,
    )
    return Written(written.config, content, manifest)


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
    return Written(config, content, manifest)


def _digests(layers: Sequence[Descriptor]) -> list[str]:
    return [each.digest.text for each in layers]
