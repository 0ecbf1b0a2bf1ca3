"""The content store: models in a standard OCI image layout that other tools can read.

No thread lives here, and nothing touches the disk before the first use. Any thread, any number of
processes: the index changes under a lock, leases protect what is used.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pyrunner import log
from pyrunner.config import RegistryConfig
from pyrunner.errors import (
    InvalidParameterError,
    InvariantError,
    ModelNotFoundError,
    MultipleTagsError,
    StoreCorruptError,
    StoreIOError,
    StoreLockedError,
    StoreReadOnlyError,
)
from pyrunner.models import index, leases, lookup
from pyrunner.models.blobs import BlobFolder, Incoming, no_one
from pyrunner.models.collection import collect, sweep
from pyrunner.models.files import os_errors
from pyrunner.models.index import Entries, IndexFile
from pyrunner.models.layout import Layout
from pyrunner.models.leases import Lease
from pyrunner.models.stored import Removed, StoredModel, read_manifest, read_model, readable
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MANIFEST_TYPE, Descriptor, decode_manifest
from pyrunner.registry.reference import Reference

__all__ = ["BuiltinModel", "Lease", "Removed", "Store", "StoredModel"]

_MAX_LEASE_ATTEMPTS = 5

_log = log.get("models")


class BuiltinModel(Protocol):
    """A model that ships with the program and comes into the store when it is asked for."""

    @property
    def reference(self) -> Reference:
        """The name that means this model and no other."""

    def import_into(self, store: "Store") -> None:
        """Put it into the store under its reference, unless this very version is there."""


class Store:
    """The models of one folder.

    Args:
        path: The folder; made when the first model comes in.
        names: How short names are completed.
        builtin: The model that `find` imports when it is asked for by its name.
    """

    def __init__(
        self, path: Path, names: RegistryConfig, builtin: BuiltinModel | None = None
    ) -> None:
        self.path = path
        self._names = names
        self._builtin = builtin
        self._layout = Layout(path)
        self._index = IndexFile(self._layout.index, self._layout.index_lock)
        self.blobs = BlobFolder(self._layout.blobs, self._layout.incoming)

    def exists(self) -> bool:
        """Whether a store is here; False in an empty folder.

        Raises:
            StoreFormatError: Something else is here, or a store of a newer format.
        """
        return self._layout.exists()

    def parse(self, text: str) -> Reference:
        """Read a reference, completed with this store's defaults.

        The name of the model that ships with us means that model whatever the defaults are.

        Raises:
            InvalidReferenceError: It is none.
        """
        reference = Reference.parse(
            text,
            default_registry=self._names.default_registry,
            default_org=self._names.default_org,
        )
        builtin = self._builtin.reference if self._builtin else None
        is_default = reference.registry == self._names.default_registry
        if builtin and is_default and reference.repository == builtin.repository:
            return replace(reference, registry=builtin.registry)
        return reference

    def is_builtin(self, reference: Reference) -> bool:
        """Whether this name means the model that ships with the program, whatever its tag."""
        return self._builtin is not None and reference.name == self._builtin.reference.name

    def list(self) -> list[StoredModel]:
        """Every readable model, in the order of the index; a damaged one is logged and left out.

        Costs two small reads per model.
        """
        entries = self._entries()
        models = []
        for digest in index.digests(entries):
            try:
                models.append(self._read(entries, digest))
            except (StoreCorruptError, StoreIOError) as error:
                _log.warning("%s is left out of the list: %s", digest, error)
            except ModelNotFoundError:
                continue  # removed since the index was read
        return models

    def find(self, text: str) -> StoredModel:
        """The model that a person means: a reference, an id, a 12-digit id, or a bare name.

        A bare name that is no reference here is looked for as the last part of all names.

        Raises:
            InvalidReferenceError: No name at all.
            ModelNotFoundError: Not in the store.
            StoreCorruptError: It is, but its manifest or config cannot be read.
        """
        builtin = self._builtin
        if builtin and lookup.is_name(text) and self.parse(text) == builtin.reference:
            builtin.import_into(self)
        entries = self._entries()
        digest = self._resolve(entries, text) or lookup.by_last_part(entries, text)
        if digest is None:
            raise ModelNotFoundError(reference=text)
        return self._read(entries, digest)

    def acquire(self, text: str, beside: Collection[StoredModel] = ()) -> tuple[StoredModel, Lease]:
        """Find a model and lease its blobs, so that nothing removes them while they are used.

        The caller closes the lease, or hands it over to the process that uses the model. In a
        store that cannot be written there is nothing to take, see `leases.unneeded`.

        Args:
            text: As for `find`.
            beside: Models that are used with it: the lease keeps their blobs, too.

        Raises:
            ModelNotFoundError: Not in the store, or removed at this very moment.
        """
        for _ in range(_MAX_LEASE_ATTEMPTS):
            model = self.find(text)
            models = {text: model, **{each.id: each for each in beside}}
            lease = self._lease_to_read(set().union(*(each.digests for each in models.values())))
            damaged = [name for name, each in models.items() if not self._is_whole(each)]
            if not damaged:
                return model, lease
            lease.close()
            known = index.digests(self._entries())
            for name in damaged:
                if models[name].id in known:
                    raise StoreCorruptError(path=str(self.path), problem=f"{name} misses blobs")
                if name != text:
                    raise ModelNotFoundError(reference=name)
        raise ModelNotFoundError(reference=text)

    def _is_whole(self, model: StoredModel) -> bool:
        return all(self.blobs.has(each) for each in model.manifest.blobs)

    def _lease_to_read(self, digests: Iterable[str]) -> Lease:
        try:
            return self.lease(digests)
        except StoreReadOnlyError:
            return leases.unneeded(digests)

    def holder(self, reference: Reference) -> Digest | None:
        """The id of the model that has the name which `put` would give for this reference."""
        return index.owner(self._entries(), reference.stored_name)

    def names(self) -> dict[Reference, Digest]:
        """Every name, and the id of the model that has it; one small read."""
        entries = self._entries()
        return {
            reference: digest
            for digest in index.digests(entries)
            for reference in readable(index.names(entries, digest))
        }

    def tag(self, source_text: str, target_text: str) -> Reference:
        """Give a model one more name; a name that another model had moves.

        Raises:
            ModelNotFoundError: No such source.
            InvalidReferenceError: The target is no reference.
            InvalidParameterError: The target names a digest, or the model that ships with us.
        """
        target = self.check_target(target_text)
        model = self.find(source_text)
        with self.lease(model.digests), self._index.changing() as change:
            for each in change.entries:
                if each.digest == model.id:
                    change.entries = index.with_name(change.entries, each, str(target))
                    return target
        raise ModelNotFoundError(reference=source_text)

    def check_target(self, text: str) -> Reference:
        """Read the name that a new or tagged model shall have.

        Raises:
            InvalidReferenceError: It is no reference.
            InvalidParameterError: It names a digest, or the model that ships with us.
        """
        target = self.parse(text)
        if target.digest is not None:
            raise InvalidParameterError(param="target", problem="names a digest; use a tag")
        if not lookup.is_name(text):
            raise InvalidParameterError(
                param="target", problem="looks like the id of a model; write a name"
            )
        if self.is_builtin(target):
            raise InvalidParameterError(
                param="target", problem=f"is {target.familiar}, which ships with pyrunner"
            )
        return target

    def remove(self, text: str, *, force: bool = False) -> Sequence[Removed]:
        """Take a name away, and the model with its last name; then collect.

        Blobs that a running model or a pull still uses stay until it ends and the next
        removal collects.

        Args:
            text: A reference removes that name; an id or digest the model with all its names.
            force: Also when an id or digest stands for several names.

        Returns:
            What happened, in order.

        Raises:
            ModelNotFoundError: Not in the store.
            MultipleTagsError: An id of a model with several names, without `force`.
        """
        self._require(text)
        with self._index.changing() as change:
            digest = self._resolve(change.entries, text)
            if digest is None:
                raise ModelNotFoundError(reference=text)
            names = index.names(change.entries, digest)
            by_name = lookup.named(change.entries, text, self.parse)
            if by_name is None and len(names) > 1 and not force:
                raise MultipleTagsError(reference=text)
            gone = names if by_name is None else [by_name]
            removed = [Removed("Untagged", name) for name in gone]
            if len(gone) == len(names):
                change.entries = index.without_manifest(change.entries, digest)
                removed.append(Removed("Deleted", digest.text))
            else:
                change.entries = index.without_name(change.entries, gone[0])
        try:
            self.collect()
        except StoreLockedError as error:  # the model is gone all the same
            _log.warning("nothing is collected: %s", error)
        return removed

    def collect(self, among: Collection[str] | None = None) -> int:
        """Remove blobs that nothing needs, `among` these or all; returns the bytes set free."""
        if not self._layout.exists():
            return 0
        return collect(self._layout, self._index, self.blobs, among)

    def lease(self, digests: Iterable[str]) -> Lease:
        """Protect blobs, here or still to come, from collection. Close it, or use `with`.

        Raises:
            StoreLockedError: A collection took longer than 30 s.
            StoreReadOnlyError: The store can only be read.
        """
        self._layout.create()
        with os_errors(self.path):
            return leases.take(self._layout.leases, self._layout.collection_lock, digests)

    def sweep(self) -> None:
        """Remove what killed processes left, leases among it; see `collection.sweep`."""
        sweep(self._layout)

    def incoming(
        self,
        descriptor: Descriptor,
        lease: Lease,
        is_cancelled: Callable[[], bool] = bool,
        on_waiting: Callable[[int], None] = no_one,
    ) -> Incoming | None:
        """Open the way in for one blob; see `BlobFolder.open_incoming`."""
        if descriptor.digest not in lease.digests:
            raise InvariantError(f"{descriptor.digest} is not leased")
        return self.blobs.open_incoming(descriptor, is_cancelled, on_waiting)

    def put(self, content: bytes, reference: Reference | None, lease: Lease) -> StoredModel:
        """Add a manifest whose blobs are all here, under a name or untagged.

        Args:
            content: The manifest's bytes, which make the model's id.
            reference: The name; taken from another model that has it.
            lease: Covers the manifest and all its blobs.

        Raises:
            StoreCorruptError: A blob is missing, or the config cannot be read.
        """
        manifest = decode_manifest(content, source="manifest")
        digest = Digest.of(content)
        media_type = manifest.media_type or MANIFEST_TYPE
        descriptor = Descriptor(media_type=media_type, size=len(content), digest=digest)
        for each in manifest.blobs:
            if each.digest not in lease.digests:
                raise InvariantError(f"{each.digest} is not leased")
            if not self.blobs.has(each):
                path = str(self.blobs.path(each.digest))
                raise StoreCorruptError(path=path, problem="the blob is missing")
        self.put_blob(descriptor, content, lease)
        with self._index.changing() as change:
            if reference is not None:
                name = reference.stored_name
                change.entries = index.with_name(change.entries, descriptor, name)
            elif digest not in index.digests(change.entries):
                change.entries = (*change.entries, descriptor)
            return read_model(self.blobs, digest, index.names(change.entries, digest))

    def put_blob(self, descriptor: Descriptor, content: bytes, lease: Lease) -> None:
        """Publish a small blob from memory, unless it is here."""
        sink = self.incoming(descriptor, lease)
        if sink is not None:
            with sink:
                sink.restart()
                sink.write(content)
                sink.publish()

    def manifest_bytes(self, model: StoredModel) -> bytes:
        """The exact bytes of a model's manifest: what is pushed."""
        read_manifest(self.blobs, model.id)
        with os_errors(self.path):
            return self.blobs.path(model.id).read_bytes()

    def _entries(self) -> Entries:
        return self._index.read() if self._layout.exists() else ()

    def _require(self, text: str) -> None:
        if not self._layout.exists():
            raise ModelNotFoundError(reference=text)

    def _read(self, entries: Entries, digest: str) -> StoredModel:
        try:
            return read_model(self.blobs, digest, index.names(entries, digest))
        except StoreCorruptError as error:
            if digest in index.digests(self._entries()):
                raise
            raise ModelNotFoundError(reference=digest) from error

    def _resolve(self, entries: Entries, text: str) -> Digest | None:
        return lookup.resolve(entries, text, self.parse)
