"""One model between the store and an OCI image layout of its own."""

import shutil
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

from pyrunner.errors import InvalidParameterError, RegistryProtocolError, StoreCorruptError
from pyrunner.models.files import os_errors
from pyrunner.models.layout import LAYOUT_CONTENT, LAYOUT_FILE
from pyrunner.models.store import Store
from pyrunner.models.stored import StoredModel
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    MAX_MANIFEST_BYTES,
    REF_NAME,
    Descriptor,
    Index,
    decode_index,
    decode_manifest,
    encode,
)
from pyrunner.registry.reference import Reference

_CHUNK_BYTES = 1024 * 1024


def export_layout(store: Store, text: str, folder: Path, name: Reference | None = None) -> None:
    """Write one model as an OCI image layout; equal models give equal files.

    Args:
        store: Where the model is.
        text: Which model.
        folder: Made here; must not exist.
        name: What the model is called in the layout; None takes its first name.

    Raises:
        ModelNotFoundError: Not in the store.
        InvalidParameterError: The model has no name and none is given.
        StoreIOError: The folder exists, or cannot be written.
    """
    model, lease = store.acquire(text)
    with lease, os_errors(folder):
        called = name or next(iter(model.references), None)
        if called is None:
            raise InvalidParameterError(param="name", problem="is needed for an untagged model")
        content = store.manifest_bytes(model)
        entry = Descriptor(
            media_type=model.manifest.media_type or MANIFEST_TYPE,
            size=len(content),
            digest=Digest(model.id),
            annotations={REF_NAME: str(called)},
        )
        blobs = folder / "blobs" / "sha256"
        folder.mkdir(parents=True)
        blobs.mkdir(parents=True)
        for digest in sorted(model.digests):
            shutil.copyfile(store.blobs.path(digest), blobs / Digest(digest).hex)
        index = Index(schema_version=2, media_type=INDEX_TYPE, manifests=(entry,))
        (folder / "index.json").write_bytes(encode(index))
        (folder / LAYOUT_FILE).write_bytes(LAYOUT_CONTENT)


def layout_digest(folder: Traversable, name: Reference) -> Digest:
    """The id of the model that a layout has under a name.

    Raises:
        StoreCorruptError: No layout, or without such a model.
    """
    index_file = folder / "index.json"
    try:
        entries = decode_index(_read(index_file), source=str(folder)).manifests
    except RegistryProtocolError as error:
        raise StoreCorruptError(path=str(folder), problem=error.problem) from error
    for each in entries:
        if each.annotations.get(REF_NAME) == str(name):
            return each.digest
    raise StoreCorruptError(path=str(folder), problem=f"it holds no {name}")


def import_layout(store: Store, folder: Traversable, name: Reference) -> StoredModel:
    """Bring the model that a layout has under `name` into the store, every blob verified.

    Args:
        store: Where it goes.
        folder: The layout; may lie in an archive.
        name: Its name there and here.

    Raises:
        StoreCorruptError: No layout, or without such a model.
        DigestMismatchError: A blob is damaged.
    """
    digest = layout_digest(folder, name)
    content = _read(_blob(folder, digest))
    try:
        manifest = decode_manifest(content, source=str(folder))
    except RegistryProtocolError as error:
        raise StoreCorruptError(path=str(folder), problem=error.problem) from error
    if Digest.of(content) != digest:
        raise StoreCorruptError(path=str(folder), problem="the manifest has another digest")
    with store.lease([digest, *(each.digest for each in manifest.blobs)]) as lease:
        for descriptor in manifest.blobs:
            sink = store.incoming(descriptor, lease)
            if sink is None:
                continue
            with sink:
                sink.restart()
                for chunk in _chunks(_blob(folder, descriptor.digest)):
                    sink.write(chunk)
                sink.publish()
        return store.put(content, name, lease)


def _blob(folder: Traversable, digest: Digest) -> Traversable:
    return folder / "blobs" / "sha256" / digest.hex


def _read(file: Traversable) -> bytes:
    with os_errors(Path(str(file))), file.open("rb") as source:
        return source.read(MAX_MANIFEST_BYTES + 1)


def _chunks(file: Traversable) -> Iterator[bytes]:
    with os_errors(Path(str(file))), file.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            yield chunk
