"""Small model artifacts, put into a store by hand."""

from pathlib import Path

from pyrunner.config import RegistryConfig
from pyrunner.models import artifact
from pyrunner.models.store import Store
from pyrunner.models.stored import StoredModel
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MANIFEST_TYPE, Descriptor, Manifest, encode

NAMES = RegistryConfig()


def new_store(folder: Path) -> Store:
    """A store that is not there yet."""
    return Store(folder / "store", NAMES)


def described(content: bytes, media_type: str = artifact.GGUF) -> Descriptor:
    return Descriptor(media_type=media_type, size=len(content), digest=Digest.of(content))


def made(
    weights: bytes,
    config_type: str = artifact.CONFIG_V01,
    layer_type: str = artifact.GGUF,
) -> tuple[bytes, list[tuple[Descriptor, bytes]]]:
    """The manifest of a model with one layer, and its blobs."""
    layer = described(weights, layer_type)
    config = artifact.encode_config(artifact.ModelConfig(format="gguf"), [layer.digest.text])
    config_blob = described(config, config_type)
    manifest = Manifest(
        schema_version=2, media_type=MANIFEST_TYPE, config=config_blob, layers=(layer,)
    )
    return encode(manifest), [(config_blob, config), (layer, weights)]


def add(
    store: Store,
    name: str | None,
    weights: bytes,
    *,
    config_type: str = artifact.CONFIG_V01,
    layer_type: str = artifact.GGUF,
) -> StoredModel:
    """Put a model with these weights into the store."""
    manifest, blobs = made(weights, config_type, layer_type)
    with store.lease([Digest.of(manifest), *(each.digest for each, _ in blobs)]) as lease:
        for descriptor, content in blobs:
            store.put_blob(descriptor, content, lease)
        return store.put(manifest, None if name is None else store.parse(name), lease)


def blob_names(store: Store) -> set[str]:
    """The files in ``blobs/sha256``."""
    return {each.name for each in (store.path / "blobs" / "sha256").iterdir()}
