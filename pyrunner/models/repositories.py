"""The store as a registry sees it: repositories with tags, named as URLs allow.

A model of the default registry is in the repository that its reference names without the registry
(``ai/smollm2``), any other in one that begins with its host (``huggingface.co/org/model``), where
``_`` stands for the colon before a port (``localhost_5000/test/tiny``). Both spellings work for the
default registry. Which one a name is, its first part alone decides, as in references: a dot,
a port or ``localhost`` make it a host. Registries that are IPv6 addresses have no such name.
"""

import re
from dataclasses import dataclass

from pyrunner.errors import InvalidReferenceError, StoreCorruptError
from pyrunner.models.store import Store
from pyrunner.models.stored import read_manifest
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MAX_MANIFEST_BYTES, Descriptor
from pyrunner.registry.reference import Reference

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+|/)[a-z0-9]+)*")
"""``<name>`` of the OCI distribution specification 1.1, section "Pulling manifests"."""
_PORT = re.compile(r"(?P<host>[^/]*[^/_])_(?P<port>[0-9]{1,5})(?=/)")
_MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Repository:
    """The models of one name. A snapshot: ask anew for every request."""

    name: str
    """As it was asked for."""
    tags: dict[str, Digest]
    digests: frozenset[Digest]
    """All of them, those without a tag too."""


class Repositories:
    """A store's repositories. Any thread; every call reads the index.

    Args:
        store: Whose models they are; completes short names.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def names(self) -> list[str]:
        """Every repository once, in ASCII order."""
        found = self._store.names()
        names = {self._name(each) for each in found if not each.registry.startswith("[")}
        return sorted(names)

    def find(self, name: str) -> Repository | None:
        """The repository with this name, in either spelling; None when nothing is in it.

        Raises:
            InvalidReferenceError: No repository can have this name.
        """
        wanted = self._decode(name)
        tags: dict[str, Digest] = {}
        digests = set()
        for reference, digest in self._store.names().items():
            if reference.name == wanted:
                digests.add(digest)
                if reference.digest is None and reference.tag is not None:
                    tags[reference.tag] = digest
        return Repository(name, tags, frozenset(digests)) if digests else None

    def manifest(self, digest: Digest) -> tuple[bytes, str] | None:
        """The exact bytes of a manifest and its media type; None when it has just been removed.

        Raises:
            StoreCorruptError: It is damaged.
        """
        try:
            media_type = read_manifest(self._store.blobs, digest).media_type
            return self._store.blobs.read(digest, max_bytes=MAX_MANIFEST_BYTES), media_type
        except StoreCorruptError:
            if digest in self._store.names().values():
                raise
            return None

    def blob(self, repository: Repository, digest: Digest) -> Descriptor | None:
        """The blob, if a manifest of this repository names it."""
        for each in sorted(repository.digests):
            try:
                manifest = read_manifest(self._store.blobs, each)
            except StoreCorruptError:
                continue  # what it names is unknown; the other manifests still count
            for descriptor in manifest.blobs:
                if descriptor.digest == digest:
                    return descriptor
        return None

    def _name(self, reference: Reference) -> str:
        short = reference.repository
        try:
            if self._decode(short) == reference.name:
                return short
        except InvalidReferenceError:
            pass  # a_99999/x: what would be its port is none, so the short spelling is not used
        return reference.name.replace(":", "_", 1)

    def _decode(self, name: str) -> str:
        if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
            raise InvalidReferenceError(text=name, at=0, problem="no name of a repository")
        host = _PORT.match(name)
        if host is not None:
            name = f"{host['host']}:{host['port']}{name[host.end() :]}"
        return self._store.parse(name).name
