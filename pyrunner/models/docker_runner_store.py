"""The models of a store of Docker Model Runner (reference, section 2.10).

::

    layout.json  models.json  blobs/sha256/<hex>  manifests/sha256/<hex>
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from pyrunner.errors import (
    InvalidReferenceError,
    ModelFileError,
    RegistryProtocolError,
    UnsupportedArtifactError,
)
from pyrunner.models import artifact
from pyrunner.models.foreign import ForeignModel, check_inside, read_small
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MAX_MANIFEST_BYTES

LIST = "models.json"
"""The file by which such a store is known."""
MAX_LIST_BYTES = 16 * 1024 * 1024
"""Longest list of models that is read; one of a model with three layers takes 500 bytes."""


class _Entry(msgspec.Struct):
    id: str
    tags: list[str] | None = None


class _Models(msgspec.Struct):
    models: list[_Entry] | None = None


def models(folder: Path) -> Iterator[ForeignModel]:
    """Every model of the store, in the order of its list.

    Raises:
        ModelFileError: The list cannot be read.
    """
    path = folder / LIST
    content = read_small(folder, path, MAX_LIST_BYTES)
    try:
        entries = msgspec.json.decode(content, type=_Models).models or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = f"is no list of models ({error})"
        raise ModelFileError(path=str(path), problem=problem) from error
    return (_model(folder, each) for each in entries)


def _model(folder: Path, entry: _Entry) -> ForeignModel:
    names = tuple(entry.tags or ())
    try:
        return _checked(folder, Digest(entry.id), names)
    except UnsupportedArtifactError as error:
        problem = f"{error.media_type[:100]} is no model"
    except RegistryProtocolError as error:
        problem = error.problem
    except (InvalidReferenceError, ModelFileError) as error:
        problem = error.sentence
    return ForeignModel(names=names or (entry.id,), problem=problem)


def _checked(folder: Path, digest: Digest, names: tuple[str, ...]) -> ForeignModel:
    path = folder / "manifests" / "sha256" / digest.hex
    content = read_small(folder, path, MAX_MANIFEST_BYTES)
    if Digest.of(content) != digest:
        return ForeignModel(names=names, problem=f"the manifest {digest} is damaged")
    manifest = artifact.check_model(content, name=digest, source=digest)
    blobs = folder / "blobs" / "sha256"
    files = {each.digest: blobs / each.digest.hex for each in manifest.blobs}
    for each in files.values():
        check_inside(folder, each)
    return ForeignModel(names=names, manifest=content, files=files)
