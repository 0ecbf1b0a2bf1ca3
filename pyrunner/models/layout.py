"""The store's folder: a standard OCI image layout, and ours beside the standard files.

::

    oci-layout  index.json  blobs/sha256/<hex>     the OCI image layout; other tools read it
    .pyrunner/version                              format of the files below, and proof it is ours
    .pyrunner/index.lock  collection.lock          flock'ed
    .pyrunner/leases/<pid>-<random>                flock'ed by their holders
    .pyrunner/incoming/<hex>.partial  <hex>.cells  blobs on their way in, and what of them is here
"""

from pathlib import Path

from pyrunner.errors import StoreIOError
from pyrunner.models.files import LOCK_TIMEOUT_S, locked, os_errors, sync_folder, write_durably
from pyrunner.registry.manifest import INDEX_TYPE, Index, encode

LAYOUT_FILE = "oci-layout"
LAYOUT_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'
_VERSION = b"1\n"


class Layout:
    """The paths of one store. Making the object touches nothing. Any thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index = root / "index.json"
        self.blobs = root / "blobs" / "sha256"
        self._own = root / ".pyrunner"
        self._version = self._own / "version"
        self.index_lock = self._own / "index.lock"
        self.collection_lock = self._own / "collection.lock"
        self.leases = self._own / "leases"
        self.incoming = self._own / "incoming"

    def exists(self) -> bool:
        """Whether a store is here.

        Raises:
            StoreIOError: Something else is here, or a store of a newer version.
        """
        with os_errors(self.root):
            try:
                version = self._version.read_bytes()
            except FileNotFoundError:
                self._refuse_foreign()
                return False
            except NotADirectoryError as error:
                raise StoreIOError(
                    path=str(self.root), problem="is a file where the model store should be"
                ) from error
        if version != _VERSION:
            raise StoreIOError(
                path=str(self.root),
                problem="was written by another version of pyrunner; use that one, or another "
                "PYRUNNER_HOME",
            )
        return True

    def create(self) -> None:
        """Make the store if it is not here. Several processes may do so at once."""
        if self.exists():
            return
        with os_errors(self.root):
            # Ours first: until the version is there, it is what tells others that this is no
            # foreign folder.
            self._own.mkdir(parents=True, exist_ok=True)
            with locked(self.index_lock, timeout_s=LOCK_TIMEOUT_S):
                if not self._version.exists():
                    self._write_files()

    def _write_files(self) -> None:
        for folder in (self.blobs, self.leases, self.incoming):
            folder.mkdir(parents=True, exist_ok=True)
        write_durably(self.root / LAYOUT_FILE, LAYOUT_CONTENT)
        sync_folder(self.blobs.parent)
        index = Index(schema_version=2, media_type=INDEX_TYPE, manifests=())
        write_durably(self.index, encode(index))
        # Last: its presence means that everything else is here.
        write_durably(self._version, _VERSION)

    def _refuse_foreign(self) -> None:
        if not self.root.exists():
            return
        if not self.root.is_dir():
            problem = "is a file where the model store should be"
        elif not any(self.root.iterdir()) or self._own.exists():  # in this order: see `create`
            return
        elif (self.root / LAYOUT_FILE).exists():
            problem = "is an OCI image layout that another program made; choose another folder"
        else:
            problem = "is not empty and holds no model store; choose another folder"
        raise StoreIOError(path=str(self.root), problem=problem)
