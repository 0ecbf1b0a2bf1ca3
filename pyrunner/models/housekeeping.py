"""What keeps a store tidy: how much it holds, emptying it, cleaning up after the killed."""

from dataclasses import dataclass
from pathlib import Path

import pyrunner
from pyrunner.models import collection, index, leases, prefixes
from pyrunner.models.files import LOCK_TIMEOUT_S, allocated_bytes, locked, os_errors
from pyrunner.models.index import IndexFile
from pyrunner.models.layout import Layout
from pyrunner.models.store import Store
from pyrunner.models.stored import read_manifest

_LIBRARIES = ("*.so*", "*.dylib", "*.pyd", "*.dll")


@dataclass(frozen=True, slots=True)
class Purged:
    """What `purge` did."""

    freed_bytes: int
    n_kept_blobs: int
    """Blobs that running models or transfers still use; they go with the next collection."""


def purge(store: Store) -> Purged:
    """Remove every model, partial blob, kept prefix and name; the empty store stays.

    Works on a store with a damaged index too. What a running model uses stays until it ends.

    Raises:
        StoreFormatError: The folder is no store.
        StoreIOError: It cannot be written.
    """
    layout = Layout(store.path)
    if not layout.exists():
        return Purged(0, 0)
    index_file = IndexFile(layout.index, layout.index_lock)
    with os_errors(store.path):
        with locked(layout.index_lock, timeout_s=LOCK_TIMEOUT_S):
            index_file.replace(())
        freed = _drop_partials(layout)
    freed += collection.collect(layout, index_file, store.blobs)
    with os_errors(store.path):
        return Purged(freed, sum(1 for each in layout.blobs.iterdir() if each.is_file()))


def clean(store: Store, *, drops_partials: bool = False) -> int:
    """Remove every blob that nothing needs, and what killed processes left.

    Args:
        store: The store; one that does not exist is fine.
        drops_partials: Also partial blobs that nobody is bringing in now; without it those that a
            pull could still continue stay for seven days.

    Returns:
        Bytes set free.

    Raises:
        StoreCorruptError: A model cannot be read, so what it needs is unknown.
    """
    layout = Layout(store.path)
    collection.sweep(layout)
    if not layout.exists():
        return 0
    for digest in index.digests(IndexFile(layout.index, layout.index_lock).read()):
        read_manifest(store.blobs, digest)  # a collection keeps everything silently
    with os_errors(store.path):
        freed = _drop_partials(layout) if drops_partials else 0
    return freed + store.collect()


def models_bytes(store: Store) -> int:
    """Bytes that blobs take on the disk: those of models, of pulls that go on, and of nobody."""
    layout = Layout(store.path)
    if not layout.exists():
        return 0
    with os_errors(store.path):
        whole = sum(allocated_bytes(each) for each in layout.blobs.iterdir())
    return whole + store.blobs.partial_bytes()


def prefixes_bytes(store: Store) -> int:
    """Bytes that the prefixes of unloaded models take on the disk."""
    with os_errors(store.path):
        return prefixes.size_bytes(Layout(store.path))


def engine_bytes() -> int:
    """Bytes of the native libraries of this installation."""
    package = Path(pyrunner.__file__).parent
    return sum(path.stat().st_size for kind in _LIBRARIES for path in package.rglob(kind))


def _drop_partials(layout: Layout) -> int:
    """Partial blobs that nobody leases; who writes one holds a lease on it."""
    freed = 0
    with locked(layout.collection_lock, timeout_s=LOCK_TIMEOUT_S):
        wanted = {each.removeprefix("sha256:") for each in leases.leased(layout.leases)}
        for path in layout.incoming.iterdir():
            if path.name.partition(".")[0] not in wanted:
                freed += allocated_bytes(path)
                path.unlink()
    return freed
