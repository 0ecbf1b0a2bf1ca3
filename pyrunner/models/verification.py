"""Verification: read every byte of a store and say what is damaged and who needs it.

Nothing here changes the store; `pyrunner.models.recovery` does, from this report.
"""

import contextlib
import hashlib
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path

from pyrunner.errors import (
    InvalidReferenceError,
    StoreCorruptError,
    StoreIOError,
    StoreReadOnlyError,
)
from pyrunner.models import index
from pyrunner.models.files import os_errors
from pyrunner.models.index import Entries, IndexFile
from pyrunner.models.layout import LAYOUT_CONTENT, LAYOUT_FILE, Layout
from pyrunner.models.store import Store
from pyrunner.models.stored import read_manifest, read_model
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import REF_NAME
from pyrunner.registry.reference import Reference

OnBytes = Callable[[int, int], None]
"""Told how many bytes have been read, and of how many."""

_CHUNK_BYTES = 1024 * 1024


class Part(Enum):
    """What of a store is damaged; decides what a repair does about it."""

    LAYOUT = "layout"
    INDEX = "index"
    ENTRY = "entry"
    BLOB = "blob"
    UNREADABLE = "unreadable"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong."""

    part: Part
    path: Path
    problem: str
    models: tuple[str, ...] = ()
    """The models that need it: names, or the id of a model without one."""
    remedy: str = ""
    """What a person does about it; a sentence."""
    identity: tuple[int, int] = (0, 0)
    """Inode and time of change (ns) of the file that was read, so that a repair hits no other."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found."""

    n_models: int = 0
    n_blobs: int = 0
    size_bytes: int = 0
    """Of all blobs, needed or not."""
    unneeded_bytes: int = 0
    """Of blobs that no model needs: a pull that goes on, or something for ``store gc``. 0 when the
    index is damaged, which says what is needed."""
    damages: tuple[Damage, ...] = ()


@dataclass(slots=True)
class _Findings:
    users: dict[str, list[str]] = field(default_factory=dict)
    """Digest to the models that need it."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Digest to the size that a manifest promises."""
    damages: list[Damage] = field(default_factory=list)


def verify(store: Store, on_bytes: OnBytes = lambda _done, _total: None) -> Report:
    """Compare every blob with its digest, and every reference with what it refers to.

    May run beside anything: what others remove meanwhile is no damage. It leases what it looks
    at, unless the store is read-only or the disk full.

    Args:
        store: The store; one that does not exist is fine.
        on_bytes: Called after each MiB read.

    Raises:
        StoreFormatError: The folder is no store.
        StoreIOError: The disk cannot be read.
    """
    layout = Layout(store.path)
    if not layout.exists():
        return Report()
    findings = _Findings()
    _check_layout(layout, findings)
    entries = _read_index(layout, findings)
    _collect_needs(store, entries, findings)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(StoreReadOnlyError, StoreIOError):
            stack.enter_context(store.lease(findings.users))
        n_blobs, size_bytes, unneeded_bytes = _check_blobs(layout, findings, on_bytes)
        _check_references(store, entries, findings)
        return Report(
            n_models=len(index.digests(entries)),
            n_blobs=n_blobs,
            size_bytes=size_bytes,
            # With a damaged index nobody knows what is needed.
            unneeded_bytes=0 if _is_index_lost(findings) else unneeded_bytes,
            damages=_still_true(layout, findings.damages),
        )


def _is_index_lost(findings: _Findings) -> bool:
    return any(each.part is Part.INDEX for each in findings.damages)


def labels(entries: Entries, digest: Digest) -> list[str]:
    """What to call a model: its names, or its id when it has none."""
    return index.names(entries, digest) or [digest.text]


def _check_layout(layout: Layout, findings: _Findings) -> None:
    path = layout.root / LAYOUT_FILE
    try:
        problem = "" if path.read_bytes() == LAYOUT_CONTENT else "it is not what pyrunner wrote"
    except OSError as error:
        problem = f"it cannot be read ({error.strerror})"
    if problem:
        remedy = "Write it anew with: pyrunner store verify --repair"
        findings.damages.append(Damage(Part.LAYOUT, path, problem, remedy=remedy))


def _read_index(layout: Layout, findings: _Findings) -> Entries:
    try:
        return IndexFile(layout.index, layout.index_lock).read()
    except (StoreCorruptError, StoreIOError) as error:
        remedy = "Rebuild it from the manifests with: pyrunner store verify --repair"
        damage = Damage(Part.INDEX, layout.index, error.problem, remedy=remedy)
        findings.damages.append(damage)
        return ()


def _collect_needs(store: Store, entries: Entries, findings: _Findings) -> None:
    for digest in index.digests(entries):
        called = labels(entries, digest)
        findings.users.setdefault(digest.text, []).extend(called)
        # One that cannot be read is found again when its blob is hashed.
        with contextlib.suppress(StoreCorruptError, StoreIOError):
            for blob in read_manifest(store.blobs, digest).blobs:
                findings.users.setdefault(blob.digest.text, []).extend(called)
                findings.sizes[blob.digest.text] = blob.size


def _check_blobs(layout: Layout, findings: _Findings, on_bytes: OnBytes) -> tuple[int, int, int]:
    with os_errors(layout.blobs):
        paths = sorted(layout.blobs.iterdir())
        total = sum(_size_bytes(each) or 0 for each in paths)
    n_blobs = done = unneeded = 0
    for path in paths:
        users = tuple(findings.users.get(f"sha256:{path.name}", ()))
        try:
            size_bytes, damage = _check_blob(path, users, partial(_add, on_bytes, done, total))
        except FileNotFoundError:
            continue  # removed since the folder was read
        done += size_bytes
        n_blobs += 1
        unneeded += 0 if users else size_bytes
        if damage is not None:
            findings.damages.append(damage)
    return n_blobs, done, unneeded


def _size_bytes(path: Path) -> int | None:
    """Size of what is there, links not followed; None when nothing is."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return None


def _add(on_bytes: OnBytes, before: int, total: int, n_bytes: int) -> None:
    on_bytes(before + n_bytes, total)


def _check_blob(
    path: Path, users: tuple[str, ...], on_bytes: Callable[[int], None]
) -> tuple[int, Damage | None]:
    status = path.lstat()
    remedy = _remedy(users) or "Drop it with: pyrunner store verify --repair"
    damaged = partial(
        Damage,
        Part.BLOB,
        path,
        models=users,
        remedy=remedy,
        identity=(status.st_ino, status.st_mtime_ns),
    )
    if not stat.S_ISREG(status.st_mode):
        return 0, damaged(problem="it is no regular file")
    n_bytes = 0
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                n_bytes += len(chunk)
                on_bytes(n_bytes)
    except FileNotFoundError:
        raise
    except OSError as error:
        remedy = "Look at its permissions and at the disk, and verify again."
        problem = f"it cannot be read ({error.strerror})"
        return n_bytes, Damage(Part.UNREADABLE, path, problem, users, remedy)
    if digest.hexdigest() == path.name:
        return n_bytes, None
    problem = f"its {n_bytes} bytes have the digest sha256:{digest.hexdigest()}"
    return n_bytes, damaged(problem=problem)


def _check_references(store: Store, entries: Entries, findings: _Findings) -> None:
    damaged = {each.path for each in findings.damages}
    for text, users in findings.users.items():
        path = store.blobs.path(text)
        if path in damaged:
            continue
        promised, found = findings.sizes.get(text), _size_bytes(path)
        if found is None:
            _add_missing(findings, path, "the blob is missing", users)
        elif promised not in {None, found}:
            _add_missing(findings, path, f"a manifest promises {promised} bytes", users)
    broken = {each.path for each in findings.damages}
    for digest in index.digests(entries):
        _check_entry(store, entries, digest, findings, broken)


def _check_entry(
    store: Store, entries: Entries, digest: Digest, findings: _Findings, broken: set[Path]
) -> None:
    called = labels(entries, digest)
    path = store.blobs.path(digest)
    problems = [problem for name in index.names(entries, digest) if (problem := _unusable(name))]
    problems += _wrong_sizes(entries, digest, _size_bytes(path))
    if not problems and path not in broken:
        try:
            manifest = read_manifest(store.blobs, digest)
            if store.blobs.path(manifest.config.digest) not in broken:
                read_model(store.blobs, digest, [])
        except (StoreCorruptError, StoreIOError) as error:
            problems.append(error.problem)
    remedy = f"Remove it with: pyrunner rm --force {digest.text}"
    for problem in problems:
        damage = Damage(Part.ENTRY, path, problem, tuple(called), remedy)
        findings.damages.append(damage)


def _wrong_sizes(entries: Entries, digest: Digest, found: int | None) -> list[str]:
    promised = {each.size for each in entries if each.digest == digest}
    return [
        f"index.json promises {size_bytes} bytes of a manifest that has {found}"
        for size_bytes in sorted(promised - {found})
        if found is not None
    ]


def _unusable(name: str) -> str:
    try:
        Reference.parse(name)
    except InvalidReferenceError as error:
        return f"the name {name!r:.100} in index.json is none: {error.problem}"
    return ""


def _add_missing(findings: _Findings, path: Path, problem: str, users: Sequence[str]) -> None:
    damage = Damage(Part.MISSING, path, problem, tuple(users), _remedy(users))
    findings.damages.append(damage)


def _remedy(users: Sequence[str]) -> str:
    named = [each for each in users if not each.startswith("sha256:")]
    if named:
        return f"Fetch it again with: pyrunner pull {named[0]}"
    return f"Remove the model with: pyrunner rm {users[0]}" if users else ""


def _still_true(layout: Layout, damages: Sequence[Damage]) -> tuple[Damage, ...]:
    """Leave out what concerned only models that were removed while we looked."""
    if not any(each.models for each in damages):
        return tuple(damages)
    entries = IndexFile(layout.index, layout.index_lock).read()
    here = {each.annotations.get(REF_NAME) for each in entries}
    here |= {each.digest.text for each in entries}
    return tuple(
        each
        for each in damages
        if not each.models or each.part is Part.BLOB or here.intersection(each.models)
    )
