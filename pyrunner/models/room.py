"""Room on the disk: asked for before the first byte, because a full disk harms everybody."""

import shutil
from collections.abc import Iterable

from pyrunner.errors import StoreFullError
from pyrunner.models.blobs import BlobFolder
from pyrunner.models.files import os_errors
from pyrunner.models.store import Store
from pyrunner.registry.manifest import Descriptor

RESERVE_BYTES = 16 * 1024 * 1024
"""Left free for the index, the records of partial files and the folder's own growth."""


def n_missing_bytes(blobs: BlobFolder, descriptors: Iterable[Descriptor]) -> int:
    """What these blobs still need, partial files counted with what they have."""
    return sum(each.size - blobs.bytes_here(each) for each in descriptors)


def require_room(store: Store, descriptors: Iterable[Descriptor]) -> None:
    """Refuse blobs that do not fit on the disk. It promises nothing: others write, too.

    Args:
        store: Which exists.
        descriptors: Every blob that is needed, each once.

    Raises:
        StoreFullError: They do not fit; has the numbers.
    """
    needed = n_missing_bytes(store.blobs, descriptors)
    with os_errors(store.path):
        free = shutil.disk_usage(store.path).free
    if needed > 0 and needed + RESERVE_BYTES > free:
        raise StoreFullError(
            path=str(store.path),
            needed_bytes=needed,
            kept_bytes=RESERVE_BYTES,
            free_bytes=free,
            partial_bytes=store.blobs.partial_bytes(),
        )
