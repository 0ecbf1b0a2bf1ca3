"""Looking after a store: verify, repair, purge. `Store` is for using it."""

from collections.abc import Sequence
from pathlib import Path

from pyrunner.errors import StoreCorruptError
from pyrunner.models import verification
from pyrunner.models.blobs import BlobFolder
from pyrunner.models.collection import collect
from pyrunner.models.files import LOCK_TIMEOUT_S, locked, os_errors
from pyrunner.models.index import IndexFile
from pyrunner.models.layout import Layout
from pyrunner.models.verification import Damage, OnBlob, Verified


class Upkeep:
    """The store in one folder, for those who look after it. Any thread, beside any users."""

    def __init__(self, path: Path) -> None:
        self._layout = Layout(path)
        self._index = IndexFile(self._layout.index, self._layout.index_lock)
        self._blobs = BlobFolder(self._layout.blobs, self._layout.incoming)

    def verify(self, on_blob: OnBlob) -> Verified:
        """Hash every blob and look for all that models need; see `verification.verify`.

        Raises:
            StoreCorruptError: The index cannot be read; `rebuild_index` makes another.
        """
        if not self._layout.exists():
            return Verified(0, 0, 0, (), ())
        return verification.verify(self._index, self._blobs, self._layout.blobs, on_blob)

    def drop(self, damages: Sequence[Damage]) -> None:
        """Remove blobs that verification found damaged, so that the next pull fetches them."""
        with (
            os_errors(self._layout.root),
            locked(self._layout.collection_lock, timeout_s=LOCK_TIMEOUT_S),
        ):
            for each in damages:
                if each.problem != "is missing":
                    self._blobs.path(each.digest).unlink(missing_ok=True)

    def rebuild_index(self) -> int:
        """Replace an index that cannot be read by one of all whole models, without names.

        Returns:
            How many models it has; 0 and no change when the index is readable.
        """
        try:
            self._index.read()
        except StoreCorruptError:
            found = verification.manifests_among(self._layout.blobs, self._blobs)
            self._index.replace(found)
            return len(found)
        return 0

    def collect(self) -> int:
        """Remove blobs that nothing needs; returns the bytes set free."""
        return collect(self._layout, self._index, self._blobs) if self._layout.exists() else 0

    def purge(self) -> int:
        """Remove every model. Blobs in use stay until a collection after their last user.

        Returns:
            Bytes set free.

        Raises:
            StoreIOError: The folder holds something else than a store of ours.
        """
        if not self._layout.exists():
            return 0
        self._index.replace(())
        return collect(self._layout, self._index, self._blobs)
