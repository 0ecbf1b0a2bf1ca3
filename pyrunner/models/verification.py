"""Verification: is every blob what its digest says, and is everything there that models need?

Works beside pulls, removals and running models: what is found damaged is looked at again, because
a removal may have come between.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyrunner.errors import StoreCorruptError
from pyrunner.models import index
from pyrunner.models.blobs import BlobFolder
from pyrunner.models.files import os_errors
from pyrunner.models.index import Entries, IndexFile
from pyrunner.models.stored import read_manifest
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MANIFEST_TYPE, MAX_MANIFEST_BYTES, Descriptor

_CHUNK_BYTES = 1024 * 1024

OnBlob = Callable[[int, int], None]
"""Told how many bytes of how many have been looked at."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One blob that is not what it should be."""

    digest: Digest
    problem: Literal["is missing", "has another size", "has other bytes", "is no manifest"]
    models: tuple[str, ...]
    """Who needs it: names, or ids of models without one; empty when nobody does."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification saw."""

    n_models: int
    n_blobs: int
    n_bytes: int
    damages: tuple[Damage, ...]
    unneeded: tuple[Digest, ...]
    """Whole blobs that no model needs; the next collection takes them unless they are leased."""


def verify(index_file: IndexFile, blobs: BlobFolder, folder: Path, on_blob: OnBlob) -> Verified:
    """Read and hash every blob of a store.

    Takes as long as the disk needs to read all of it; nothing is changed or locked.

    Args:
        index_file: Of the store.
        blobs: Of the store.
        folder: Where the blobs lie.
        on_blob: The progress; when it raises, verification ends with that error.

    Raises:
        StoreCorruptError: The index cannot be read.
        StoreIOError: A blob cannot be read.
    """
    entries = index_file.read()
    needed, unreadable = _needed(entries, blobs)
    present = _present(folder)
    found = list(unreadable)
    n_done, n_bytes = 0, sum(present.values())
    for digest, size in present.items():
        wanted = needed.get(digest)
        is_unreadable = any(each.digest == digest for each in unreadable)
        if wanted is not None and not is_unreadable and size != wanted.size:
            found.append(Damage(digest, "has another size", ()))
        elif not is_unreadable and not _is_whole(blobs.path(digest), digest):
            found.append(Damage(digest, "has other bytes", ()))
        n_done += size
        on_blob(n_done, n_bytes)
    found += [Damage(each, "is missing", ()) for each in needed if each not in present]
    now = index_file.read()
    damages = [_with_models(each, now, blobs) for each in found if _is_still(each, now, blobs)]
    return Verified(
        n_models=len(index.digests(entries)),
        n_blobs=len(present),
        n_bytes=n_bytes,
        damages=tuple(sorted(damages, key=lambda each: each.digest)),
        unneeded=tuple(sorted(present.keys() - needed.keys())),
    )


def _needed(entries: Entries, blobs: BlobFolder) -> tuple[dict[Digest, Descriptor], list[Damage]]:
    """Every blob that a readable manifest names, and the manifests that are not readable."""
    needed: dict[Digest, Descriptor] = {}
    unreadable: list[Damage] = []
    for entry in entries:
        needed[entry.digest] = entry
        try:
            manifest = read_manifest(blobs, entry.digest)
        except StoreCorruptError:
            if blobs.path(entry.digest).exists():
                unreadable.append(Damage(entry.digest, "is no manifest", ()))
            continue
        needed.update((each.digest, each) for each in manifest.blobs)
    unique = {each.digest: each for each in unreadable}
    return needed, list(unique.values())


def _present(folder: Path) -> dict[Digest, int]:
    """Every blob file with its size."""
    sizes: dict[Digest, int] = {}
    with os_errors(folder):
        for path in sorted(folder.iterdir()):
            try:
                sizes[Digest(f"sha256:{path.name}")] = path.stat().st_size
            except (FileNotFoundError, ValueError):
                continue  # collected since the folder was read, or not ours
    return sizes


def _is_whole(path: Path, digest: Digest) -> bool:
    """Whether a blob's bytes have its digest; one that is gone has."""
    sha256 = hashlib.sha256()
    with os_errors(path):
        try:
            with path.open("rb", buffering=0) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    sha256.update(chunk)
        except FileNotFoundError:
            return True
    return sha256.hexdigest() == digest.hex


def _is_still(damage: Damage, entries: Entries, blobs: BlobFolder) -> bool:
    if damage.problem != "is missing":
        return blobs.path(damage.digest).exists()
    return damage.digest in _needed(entries, blobs)[0] and not blobs.path(damage.digest).exists()


def _with_models(damage: Damage, entries: Entries, blobs: BlobFolder) -> Damage:
    models: list[str] = []
    for digest in index.digests(entries):
        try:
            needs = {each.digest for each in read_manifest(blobs, digest).blobs}
        except StoreCorruptError:
            needs = set()
        if damage.digest in {digest, *needs}:
            models += index.names(entries, digest) or [digest.text]
    return Damage(damage.digest, damage.problem, tuple(models))


def manifests_among(folder: Path, blobs: BlobFolder) -> tuple[Descriptor, ...]:
    """Every blob that is a whole manifest whose blobs are here, for an index that was lost."""
    found: list[Descriptor] = []
    for digest, size in _present(folder).items():
        if size > MAX_MANIFEST_BYTES:
            continue
        try:
            manifest = read_manifest(blobs, digest)
        except StoreCorruptError:
            continue
        if manifest.layers and all(blobs.has(each) for each in manifest.blobs):
            media_type = manifest.media_type or MANIFEST_TYPE
            found.append(Descriptor(media_type=media_type, size=size, digest=digest))
    return tuple(found)
