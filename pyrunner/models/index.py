"""``index.json``: which manifests the store holds and what they are called.

Entries are descriptors; one manifest has one entry per name, or one without a name. The functions
on entries are pure; `IndexFile` reads without a lock and changes under one.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pyrunner.errors import RegistryProtocolError, StoreCorruptError, StoreIOError
from pyrunner.models import reserve
from pyrunner.models.files import LOCK_TIMEOUT_S, locked, os_errors, write_durably
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import (
    INDEX_TYPE,
    MAX_MANIFEST_BYTES,
    REF_NAME,
    Descriptor,
    Index,
    decode_index,
    encode,
)

Entries = tuple[Descriptor, ...]


class IndexFile:
    """One ``index.json``. Any thread."""

    def __init__(self, path: Path, lock: Path) -> None:
        self._path = path
        self._lock = lock
        self._reserve = lock.with_name(reserve.NAME)

    def read(self) -> Entries:
        """The entries now; no lock, because the file is only ever replaced whole.

        Raises:
            StoreCorruptError: The file is missing, or no OCI index.
        """
        with os_errors(self._path):
            try:
                with self._path.open("rb") as file:
                    content = file.read(MAX_MANIFEST_BYTES + 1)
            except FileNotFoundError as error:
                raise self._damaged("it is missing") from error
        try:
            return decode_index(content, source=str(self._path)).manifests
        except RegistryProtocolError as error:
            raise self._damaged(error.problem) from error

    def _damaged(self, problem: str) -> StoreCorruptError:
        remedy = "Rebuild it from the models with: pyrunner store verify --repair"
        return StoreCorruptError(path=str(self._path), problem=problem, remedy=remedy)

    @contextlib.contextmanager
    def changing(self) -> Iterator["Change"]:
        """Hold the lock, lend the entries, and write them back if they were changed.

        Nothing is written when the block raises.

        Raises:
            StoreIOError: The index would become larger than `read` accepts.
        """
        with os_errors(self._path), locked(self._lock, timeout_s=LOCK_TIMEOUT_S):
            change = Change(self.read())
            before = change.entries
            yield change
            if change.entries != before:
                content = _encoded(change.entries)
                if len(content) > MAX_MANIFEST_BYTES:
                    raise StoreIOError(
                        path=str(self._path),
                        problem="holds no more names; remove some with: pyrunner rm",
                    )
                self._write(content, is_smaller=len(change.entries) <= len(before))

    def replace(self, entries: Entries) -> None:
        """Write these entries, whatever the file holds; the caller holds the lock."""
        self._write(_encoded(entries), is_smaller=True)

    def _write(self, content: bytes, *, is_smaller: bool) -> None:
        try:
            write_durably(self._path, content)
        except OSError as error:
            is_helped = reserve.is_disk_full(error) and is_smaller
            if not is_helped or not reserve.give_all(self._reserve):
                raise
            # What removes something has to work on a full disk; the next collection, which
            # makes room, sets it aside again.
            write_durably(self._path, content)


def _encoded(entries: Entries) -> bytes:
    return encode(Index(schema_version=2, media_type=INDEX_TYPE, manifests=entries))


class Change:
    """The entries while the lock is held; assign to change them."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries


def digests(entries: Entries) -> list[Digest]:
    """Every manifest once, in the order of its first entry."""
    return list(dict.fromkeys(each.digest for each in entries))


def names(entries: Entries, digest: str) -> list[str]:
    """The names of one manifest, in order."""
    found = (each.annotations.get(REF_NAME) for each in entries if each.digest == digest)
    return [name for name in found if name]


def owner(entries: Entries, name: str) -> Digest | None:
    """The manifest with this name."""
    for each in entries:
        if each.annotations.get(REF_NAME) == name:
            return each.digest
    return None


def with_name(entries: Entries, descriptor: Descriptor, name: str) -> Entries:
    """Give a manifest a name, taking it from whichever had it.

    The manifest that loses its last name stays, without one.
    """
    if owner(entries, name) == descriptor.digest:
        return entries
    kept = without_name(entries, name)
    named = descriptor.with_annotations({REF_NAME: name})
    for i, each in enumerate(kept):
        if each.digest == descriptor.digest and REF_NAME not in each.annotations:
            return (*kept[:i], named, *kept[i + 1 :])
    return (*kept, named)


def without_name(entries: Entries, name: str) -> Entries:
    """Take a name away; the manifest stays, without one if that was its last."""
    digest = owner(entries, name)
    if digest is None:
        return entries
    is_last = len(names(entries, digest)) == 1
    changed: list[Descriptor] = []
    for each in entries:
        if each.annotations.get(REF_NAME) != name:
            changed.append(each)
        elif is_last:
            changed.append(each.with_annotations({}))
    return tuple(changed)


def without_manifest(entries: Entries, digest: str) -> Entries:
    """Take a manifest away under all its names."""
    return tuple(each for each in entries if each.digest != digest)
