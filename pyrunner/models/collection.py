"""Collection: which blobs may go, and letting them go."""

import contextlib
import os
import stat
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from pyrunner import log
from pyrunner.errors import StoreCorruptError, StoreIOError, StoreLockedError, StoreReadOnlyError
from pyrunner.models import index, leases, prefixes, reserve
from pyrunner.models.blobs import BlobFolder
from pyrunner.models.cells import RECORD_SUFFIX
from pyrunner.models.files import (
    LOCK_TIMEOUT_S,
    beside,
    is_at,
    locked,
    os_errors,
    sync_folder,
    try_lock,
)
from pyrunner.models.index import IndexFile
from pyrunner.models.layout import LAYOUT_FILE, Layout
from pyrunner.models.stored import read_manifest

STALE_PARTIAL_S = 7 * 24 * 3600.0
"""Age at which a partial blob that nobody writes is given up."""

_log = log.get("models")


def collect(
    layout: Layout,
    index_file: IndexFile,
    blobs: BlobFolder,
    among: Collection[str] | None = None,
) -> int:
    """Remove every blob that neither the index nor a lease needs, `among` these or all.

    Holds the collection lock, which taking a lease passes too: what is about to be used is either
    seen here, or its user looks for the blob after it is gone. A model that cannot be read keeps
    everything: what it needs is unknown. Prefixes that workers kept go with their models.

    Returns:
        Bytes set free.
    """
    with os_errors(layout.root), locked(layout.collection_lock, timeout_s=LOCK_TIMEOUT_S):
        try:
            # Leases first: who ends one now has already put its entry into the index read next.
            needed = leases.leased(layout.leases)
            needed |= _needed(index_file, blobs)
        except (StoreCorruptError, StoreIOError) as error:
            _log.warning("nothing is collected: %s", error)
            return 0
        freed = prefixes.remove_all_but(layout, index.digests(index_file.read()))
        for path in sorted(layout.blobs.iterdir()):
            digest = f"sha256:{path.name}"
            if digest not in needed and (among is None or digest in among):
                freed += _remove(path)
        sync_folder(layout.blobs)
        _drop_stale_partials(layout.incoming)
        reserve.set_aside(layout.reserve)
    return freed


def _remove(path: Path) -> int:
    """Remove what is no folder, which nothing of ours makes here, and return its size."""
    status = path.lstat()
    if stat.S_ISDIR(status.st_mode):
        return 0
    path.unlink()
    return status.st_size


def _needed(index_file: IndexFile, blobs: BlobFolder) -> set[str]:
    needed: set[str] = set()
    for digest in index.digests(index_file.read()):
        needed.add(digest)
        needed.update(each.digest for each in read_manifest(blobs, digest).blobs)
    return needed


def sweep(layout: Layout) -> None:
    """Remove what killed processes left, without looking at any blob.

    Leases of the dead, partial blobs that nobody wrote for seven days, half-written small files.
    Does nothing when somebody collects at this moment, or when the store cannot be written.
    """
    with contextlib.suppress(StoreLockedError, StoreReadOnlyError), os_errors(layout.root):
        if not layout.exists():
            return
        with locked(layout.collection_lock, timeout_s=0.0):
            with contextlib.suppress(StoreCorruptError):
                leases.leased(layout.leases)
            _drop_stale_partials(layout.incoming)
        with locked(layout.index_lock, timeout_s=0.0):
            for path in (layout.index, layout.root / LAYOUT_FILE):
                beside(path).unlink(missing_ok=True)


def _drop_stale_partials(folder: Path) -> None:
    oldest = datetime.now(UTC).timestamp() - STALE_PARTIAL_S
    for path in sorted(folder.iterdir(), reverse=True):  # a partial file before its record
        if path.suffix == RECORD_SUFFIX and path.with_suffix(".partial").exists():
            continue
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue  # published, or given up, since the folder was read
        with file:
            fd = file.fileno()
            if os.fstat(fd).st_mtime < oldest and try_lock(fd) and is_at(path, fd):
                path.unlink()
