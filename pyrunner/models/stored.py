"""A model in the store, as everything above sees it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyrunner import log
from pyrunner.errors import InvalidReferenceError, RegistryProtocolError, StoreCorruptError
from pyrunner.models.artifact import (
    MAX_CONFIG_BYTES,
    LayerKind,
    ModelConfig,
    completed,
    file_name,
    layer_kind,
    parse_config,
)
from pyrunner.models.blobs import BlobFolder
from pyrunner.models.shards import shard_position
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MAX_MANIFEST_BYTES, Descriptor, Manifest, decode_manifest
from pyrunner.registry.reference import Reference

_log = log.get("models")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """What one manifest of the store says. The paths stay valid while a lease covers `digests`."""

    id: str
    """sha256 of the manifest's bytes, ``sha256:`` and 64 hex digits."""
    references: tuple[Reference, ...]
    """All its names, in the order they were given; empty for an untagged model."""
    manifest: Manifest
    config: ModelConfig
    created: int
    """Unix seconds, 0 when unknown."""
    size_bytes: int
    """All layers together."""
    weight_paths: tuple[Path, ...]
    """GGUF files in the order of their shards; empty when this model cannot run here."""
    mmproj_path: Path | None
    chat_template_path: Path | None
    license_paths: tuple[Path, ...]

    @property
    def short_id(self) -> str:
        """The first 12 digits of the id."""
        return Digest(self.id).short

    @property
    def tags(self) -> list[str]:
        """All names in canonical form."""
        return [str(each) for each in self.references]

    @property
    def digests(self) -> frozenset[str]:
        """Every blob the model needs, its manifest included: what a lease has to name."""
        return frozenset((self.id, *(each.digest for each in self.manifest.blobs)))


@dataclass(frozen=True, slots=True)
class Removed:
    """One line of what `Store.remove` did."""

    kind: Literal["Untagged", "Deleted"]
    what: str
    """The reference in canonical form, or the model's id."""


def read_manifest(blobs: BlobFolder, digest: str) -> Manifest:
    """The manifest with this digest.

    Raises:
        StoreCorruptError: It is missing, damaged or no manifest.
    """
    content = blobs.read(digest, max_bytes=MAX_MANIFEST_BYTES)
    try:
        return decode_manifest(content, source=digest)
    except RegistryProtocolError as error:
        raise StoreCorruptError(path=str(blobs.path(digest)), problem=error.problem) from error


def readable(names: Iterable[str]) -> tuple[Reference, ...]:
    """Leave out the names that are none; only another program puts such a name into an index."""
    found = []
    for name in names:
        try:
            found.append(Reference.parse(name))
        except InvalidReferenceError as error:
            _log.warning("the name %.100r of the store is left out: %s", name, error.problem)
    return tuple(found)


def read_model(blobs: BlobFolder, digest: str, names: list[str]) -> StoredModel:
    """Read manifest and config of one model; the layers are not opened.

    Raises:
        StoreCorruptError: One of the two is missing or damaged.
    """
    manifest = read_manifest(blobs, digest)
    path = blobs.path(manifest.config.digest)
    content = blobs.read(manifest.config.digest, max_bytes=MAX_CONFIG_BYTES)
    try:
        artifact = parse_config(content, source=str(path))
    except RegistryProtocolError as error:
        raise StoreCorruptError(path=str(path), problem=error.problem) from error
    config = completed(artifact.config, manifest)
    paths = {kind: _paths(blobs, manifest, config, kind) for kind in LayerKind}
    return StoredModel(
        id=Digest(digest).text,
        references=readable(names),
        manifest=manifest,
        config=config,
        created=artifact.created,
        size_bytes=manifest.size_bytes,
        weight_paths=paths[LayerKind.GGUF],
        mmproj_path=next(iter(paths[LayerKind.MMPROJ]), None),
        chat_template_path=next(iter(paths[LayerKind.CHAT_TEMPLATE]), None),
        license_paths=paths[LayerKind.LICENSE],
    )


def _paths(
    blobs: BlobFolder, manifest: Manifest, config: ModelConfig, kind: LayerKind
) -> tuple[Path, ...]:
    layers = [each for each in manifest.layers if layer_kind(each, config) is kind]
    if kind is LayerKind.GGUF:
        layers.sort(key=_shard_number)  # stable: layers without numbers keep their order
    return tuple(blobs.path(each.digest) for each in layers)


def _shard_number(layer: Descriptor) -> int:
    position = shard_position(file_name(layer))
    return position.i_shard if position else 0
