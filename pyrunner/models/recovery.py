"""Recovery: what can honestly be done about a damaged store, and nothing that hides a loss.

A damaged blob is dropped, so that the next pull fetches it; a damaged index is rebuilt from the
manifests that are whole. What is lost is said.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pyrunner.errors import InvalidReferenceError, RegistryProtocolError
from pyrunner.models import index
from pyrunner.models.artifact import CONFIG_TYPES
from pyrunner.models.files import LOCK_TIMEOUT_S, locked, os_errors, sync_folder, write_durably
from pyrunner.models.index import Entries, IndexFile
from pyrunner.models.layout import LAYOUT_CONTENT, LAYOUT_FILE, Layout
from pyrunner.models.store import Store
from pyrunner.models.verification import Damage, Part, Report
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import (
    MANIFEST_TYPE,
    MAX_MANIFEST_BYTES,
    REF_NAME,
    Descriptor,
    decode_manifest,
)
from pyrunner.registry.reference import Reference

SAVED_INDEX = "index.json.damaged"
"""Where the bytes of a damaged index are kept, in the store's own folder."""

_NAMED_ENTRY = re.compile(
    rb'"digest":\s*"(sha256:[0-9a-f]{64})",\s*"annotations":\s*\{\s*"'
    + re.escape(REF_NAME).encode()
    + rb'":\s*"([^"\\]{1,512})"'
)
"""An entry as we write it, found also where the JSON around it is broken."""


def repair(store: Store, report: Report) -> list[str]:
    """Do what can be done about a report's damages; may run beside a server.

    Returns:
        One sentence for each thing that was done, losses included.

    Raises:
        StoreReadOnlyError: The store cannot be written.
    """
    layout = Layout(store.path)
    done = []
    with os_errors(store.path):
        for damage in report.damages:
            if damage.part is Part.LAYOUT:
                write_durably(layout.root / LAYOUT_FILE, LAYOUT_CONTENT)
                done.append(f"Wrote {damage.path} anew.")
            elif damage.part is Part.INDEX:
                done.extend(_rebuild_index(layout))
            elif damage.part is Part.BLOB:
                done.extend(_drop(layout, damage))
            elif damage.part is Part.UNREADABLE:
                done.append(f"Left {damage.path} alone: {damage.problem}, so it may be whole.")
        done.extend(_forget_untagged(layout, report.damages))
    return done


def _drop(layout: Layout, damage: Damage) -> list[str]:
    path = damage.path
    with locked(layout.collection_lock, timeout_s=LOCK_TIMEOUT_S):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return []
        if (status.st_ino, status.st_mtime_ns) != damage.identity:
            return [f"Left {path} alone: it changed since it was read."]
        if path.is_dir() and not path.is_symlink():
            return [f"Left {path} alone: it is a folder, which pyrunner never makes here."]
        path.unlink()
        sync_folder(path.parent)
    return [f"Dropped {path}."]


def _forget_untagged(layout: Layout, damages: Sequence[Damage]) -> list[str]:
    """Take entries without a name and without a manifest away: nothing can bring them back."""
    if any(each.part is Part.INDEX for each in damages):
        return []
    lost = {damage.path.name for damage in damages if damage.part in {Part.BLOB, Part.MISSING}}
    done = []
    index_file = IndexFile(layout.index, layout.index_lock)
    with index_file.changing() as change:
        for digest in index.digests(change.entries):
            is_gone = digest.hex in lost and not (layout.blobs / digest.hex).exists()
            if is_gone and not index.names(change.entries, digest):
                change.entries = index.without_manifest(change.entries, digest)
                done.append(f"Forgot the untagged model {digest}, whose manifest is lost.")
    return done


def _rebuild_index(layout: Layout) -> list[str]:
    with locked(layout.index_lock, timeout_s=LOCK_TIMEOUT_S):
        content = _read(layout.index)
        saved = layout.own / SAVED_INDEX
        saved.unlink(missing_ok=True)
        if content:
            _keep(layout.index, saved)
        entries = tuple(_manifests(layout.blobs))
        names = _names(content)
        entries = _with_names(entries, names)
        IndexFile(layout.index, layout.index_lock).replace(entries)
    held = f"what it held is in {saved}" if content else "it was missing or empty"
    done = [f"Rebuilt {layout.index}; {held}."]
    for digest in index.digests(entries):
        called = index.names(entries, digest)
        if called:
            done.append(f"Found the model {digest}: {', '.join(called)}.")
        else:
            done.append(
                f"Found the model {digest}, whose names are lost. "
                f"Name it with: pyrunner tag {digest} NAME"
            )
    found = {each.digest.text for each in entries}
    done.extend(
        f"Lost the model {name}: its manifest {digest} is not here. "
        f"Fetch it again with: pyrunner pull {name}"
        for digest, name in names
        if digest not in found
    )
    return done


def _keep(path: Path, saved: Path) -> None:
    """Keep what a file holds that is about to be replaced; a link takes no room on the disk."""
    try:
        saved.hardlink_to(path)
    except OSError:  # a file system without links
        shutil.copyfile(path, saved)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        return b""


def _manifests(blobs: Path) -> list[Descriptor]:
    """Every blob that is a whole manifest of a model; costs a read of the small blobs."""
    found = []
    for path in sorted(blobs.iterdir()):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_MANIFEST_BYTES:
            continue
        content = path.read_bytes()
        digest = Digest.of(content)
        if digest.hex != path.name:
            continue
        try:
            manifest = decode_manifest(content, source=str(path))
        except RegistryProtocolError:
            continue  # a config, a template, a licence
        if manifest.config.media_type in CONFIG_TYPES:
            media_type = manifest.media_type or MANIFEST_TYPE
            found.append(Descriptor(media_type=media_type, size=len(content), digest=digest))
    return found


def _names(content: bytes) -> list[tuple[str, str]]:
    """Digest and name of each entry that can still be read in a damaged index."""
    found = []
    for match in _NAMED_ENTRY.finditer(content):
        try:
            name = str(Reference.parse(match[2].decode("utf-8", "replace")))
        except InvalidReferenceError:
            continue
        found.append((match[1].decode(), name))
    return found


def _with_names(entries: Entries, names: Sequence[tuple[str, str]]) -> Entries:
    by_digest = {each.digest.text: each for each in entries}
    for digest, name in names:
        if digest in by_digest:
            entries = index.with_name(entries, by_digest[digest], name)
    return entries
