"""What keeps a store tidy: how much it holds, emptying it, cleaning up after the killed."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import pyrunner
from pyrunner.models import collection, index, leases
from pyrunner.models.files import LOCK_TIMEOUT_S, locked, os_errors
from pyrunner.models.index import IndexFile
from pyrunner.models.layout import Layout
from pyrunner.models.store import Store
from pyrunner.models.stored import read_manifest

_BLOCK_BYTES = 512
"""The unit of `st_blocks`, see stat(2)."""
_LIBRARIES = ("*.so*", "*.dylib", "*.pyd", "*.dll")


@dataclass(frozen=True, slots=True)
class Purged:
    """What `purge` did."""

    freed_bytes: int
    n_kept_blobs: int
    """Blobs that running models or transfers still use; they go with the next collection."""


def purge(store: Store) -> Purged:
    """Remove every model, every partial blob and every name; the empty store stays.

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
        return Purged(freed, sum(1 for _ in layout.blobs.iterdir()))


def clean(store: Store) -> int:
    """Remove every blob that nothing needs, and what killed processes left.

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
    return store.collect()


def models_bytes(store: Store) -> int:
    """Bytes that blobs take on the disk: those of models, of pulls that go on, and of nobody."""
    layout = Layout(store.path)
    if not layout.exists():
        return 0
    n_bytes = 0
    with os_errors(store.path):
        for path in (*layout.blobs.iterdir(), *layout.incoming.iterdir()):
            with contextlib.suppress(FileNotFoundError):  # removed since the folder was read
                status = path.lstat()
                # What is on its way in may have holes.
                n_bytes += min(status.st_size, status.st_blocks * _BLOCK_BYTES)
    return n_bytes


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
                freed += path.stat().st_size
                path.unlink()
    return freed
