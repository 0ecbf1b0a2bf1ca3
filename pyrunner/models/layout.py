"""The store's folder: a standard OCI image layout, and ours beside the standard files.

::

    oci-layout  index.json  blobs/sha256/<hex>     the OCI image layout; other tools read it
    .pyrunner/version                              format of the files below, and proof it is ours
    .pyrunner/index.lock  collection.lock          flock'ed
    .pyrunner/leases/<pid>-<random>                flock'ed by their holders
    .pyrunner/incoming/<hex>.partial  <hex>.cells  blobs on their way in, and what of them is here
    .pyrunner/prefixes/<model>/                    what workers keep of conversations
    .pyrunner/reserve                              room for a smaller index on a full disk
    .pyrunner/index.json.damaged                   what a repair replaced
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from pyrunner.errors import StoreFormatError
from pyrunner.models import reserve
from pyrunner.models.files import LOCK_TIMEOUT_S, locked, os_errors, sync_folder, write_durably
from pyrunner.registry.manifest import INDEX_TYPE, Index, encode

_MAX_VERSION_DIGITS = 9
LAYOUT_FILE = "oci-layout"
LAYOUT_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'
EMPTY_INDEX = encode(Index(schema_version=2, media_type=INDEX_TYPE, manifests=()))

FORMAT = 1
"""The format that this version of pyrunner reads and writes."""

_WRITE_BACK = f"write {FORMAT} into it, if this version of pyrunner used the store last"

Upgrade = Callable[["Layout"], None]

UPGRADES: Mapping[int, Upgrade] = {}
"""From each older format to the next, under both locks; run again after a crash in the middle."""


class Layout:
    """The paths of one store. Making the object touches nothing. Any thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index = root / "index.json"
        self.blobs = root / "blobs" / "sha256"
        self.own = root / ".pyrunner"
        self._version = self.own / "version"
        self.index_lock = self.own / "index.lock"
        self.collection_lock = self.own / "collection.lock"
        self.leases = self.own / "leases"
        self.incoming = self.own / "incoming"
        self.prefixes = self.own / "prefixes"
        self.reserve = self.own / reserve.NAME

    def exists(self) -> bool:
        """Whether a store is here; one of an older format is upgraded first.

        Raises:
            StoreFormatError: Something else is here, or a store of a newer format.
            StoreReadOnlyError: It would have to be upgraded and cannot be written.
        """
        with os_errors(self.root):
            version = self._read_version()
            if version is None:
                self._refuse_foreign()
                return self._version.exists()  # made meanwhile
            if version < FORMAT:
                self._upgrade()
        return True

    def _read_version(self) -> int | None:
        try:
            content = self._version.read_bytes()
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise StoreFormatError(
                path=str(self.root), problem="is a file where the model store should be"
            ) from error
        digits = content.strip()
        if not digits.isdigit() or len(digits) > _MAX_VERSION_DIGITS:
            raise StoreFormatError(
                path=str(self._version),
                problem=f"holds no number; {_WRITE_BACK}",
            )
        version = int(digits)
        if version > FORMAT:
            raise StoreFormatError(
                path=str(self.root),
                problem="was written by a newer version of pyrunner; use that one, or another "
                "PYRUNNER_HOME",
            )
        return version

    def _upgrade(self) -> None:
        # As in a collection: no lease is taken meanwhile, and nobody changes the index.
        with (
            locked(self.collection_lock, timeout_s=LOCK_TIMEOUT_S),
            locked(self.index_lock, timeout_s=LOCK_TIMEOUT_S),
        ):
            version = self._read_version()
            while version is not None and version < FORMAT:
                if version not in UPGRADES:
                    raise StoreFormatError(
                        path=str(self.root),
                        problem=f"has the format {version}, which this version of pyrunner "
                        "cannot read; use another PYRUNNER_HOME",
                    )
                UPGRADES[version](self)
                version += 1
                write_durably(self._version, f"{version}\n".encode())

    def create(self) -> None:
        """Make the store if it is not here. Several processes may do so at once."""
        if self.exists():
            return
        with os_errors(self.root):
            # Ours first: until the version is there, it is what tells others that this is no
            # foreign folder.
            self.own.mkdir(parents=True, exist_ok=True)
            with locked(self.index_lock, timeout_s=LOCK_TIMEOUT_S):
                if not self._version.exists():
                    self._refuse_foreign()
                    self._write_files()
            sync_folder(self.root.parent)

    def _write_files(self) -> None:
        for folder in (self.blobs, self.leases, self.incoming):
            folder.mkdir(parents=True, exist_ok=True)
        write_durably(self.root / LAYOUT_FILE, LAYOUT_CONTENT)
        sync_folder(self.blobs.parent)
        write_durably(self.index, EMPTY_INDEX)
        reserve.set_aside(self.reserve)
        # Last: its presence means that everything else is here.
        write_durably(self._version, f"{FORMAT}\n".encode())

    def _refuse_foreign(self) -> None:
        if not self.root.exists():
            return
        if not self.root.is_dir():
            problem = "is a file where the model store should be"
        elif not any(self.root.iterdir()):
            return
        elif self.own.exists():  # after the line above: see `create`
            self._refuse_unversioned()
            return
        elif (self.root / LAYOUT_FILE).exists():
            problem = "is an OCI image layout that another program made; choose another folder"
        else:
            problem = "is not empty and holds no model store; choose another folder"
        raise StoreFormatError(path=str(self.root), problem=problem)

    def _refuse_unversioned(self) -> None:
        """Tell a store that lost its version from one that was not made to its end."""
        holds_blobs = self.blobs.exists() and any(self.blobs.iterdir())
        holds_names = self.index.exists() and self.index.read_bytes() != EMPTY_INDEX
        if (holds_blobs or holds_names) and not self._version.exists():
            raise StoreFormatError(
                path=str(self._version),
                problem=f"is missing; {_WRITE_BACK}",
            )
