"""Collecting on request, purging, sweeping, and the room that a removal has on a full disk."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from support.artifacts import add, blob_names, described, new_store

from pyrunner.errors import StoreCorruptError, StoreFormatError, StoreIOError
from pyrunner.models import (
    collection,
    files,
    housekeeping,
    index,
    leases,
    prefixes,
    reserve,
    verification,
)
from pyrunner.models.layout import Layout
from pyrunner.models.store import Store


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


def _half(store: Store, content: bytes) -> Path:
    layer = described(content)
    with store.lease([layer.digest]) as lease:
        sink = store.incoming(layer, lease)
        assert sink is not None
        with sink:
            sink.write(content[:2])
    return store.path / ".pyrunner" / "incoming" / f"{layer.digest.hex}.partial"


def _dead_lease(store: Store) -> Path:
    path = store.path / ".pyrunner" / "leases" / "1-dead"
    path.write_text("")
    return path


def test_clean_removes_what_no_model_needs_and_says_how_much(store):
    add(store, "x", b"weights")
    needed = blob_names(store)
    layer = described(b"orphan")
    with store.lease([layer.digest]) as lease:
        store.put_blob(layer, b"orphan", lease)
    assert housekeeping.clean(store) == len(b"orphan")
    assert blob_names(store) == needed


def test_clean_says_why_it_collects_nothing(store):
    model = add(store, "x", b"weights")
    store.blobs.path(model.id).unlink()
    with pytest.raises(StoreCorruptError):
        housekeeping.clean(store)


def test_purge_empties_the_store_and_leaves_a_good_one(store):
    add(store, "x", b"weights")
    partial = _half(store, b"half a blob")
    purged = housekeeping.purge(store)
    assert (purged.n_kept_blobs, blob_names(store), store.list()) == (0, set(), [])
    assert purged.freed_bytes > len(b"weights")
    assert not partial.exists()
    assert verification.verify(store).damages == ()


def test_purge_keeps_what_is_in_use(store):
    model = add(store, "x", b"weights")
    _, lease = store.acquire("x")
    with lease:
        assert housekeeping.purge(store).n_kept_blobs == len(model.digests)
        assert model.weight_paths[0].read_bytes() == b"weights"
    assert housekeeping.clean(store) > 0
    assert blob_names(store) == set()


def test_purge_works_with_a_damaged_index(store):
    add(store, "x", b"weights")
    (store.path / "index.json").write_bytes(b"{")
    housekeeping.purge(store)
    assert (blob_names(store), verification.verify(store).damages) == (set(), ())


def test_purge_refuses_a_folder_that_is_no_store(store):
    store.path.mkdir()
    precious = store.path / "thesis.txt"
    precious.write_text("years")
    with pytest.raises(StoreFormatError, match="holds no model store"):
        housekeeping.purge(store)
    assert precious.read_text() == "years"


def test_sweep_removes_what_killed_processes_left_and_nothing_that_lives(store):
    add(store, "x", b"weights")
    old, fresh = _half(store, b"old one"), _half(store, b"fresh one")
    os.utime(old, (0, 0))
    torn = store.path / "index.json.new"
    torn.write_bytes(b"{")
    dead = _dead_lease(store)
    before = blob_names(store)
    with store.lease([]):
        collection.sweep(Layout(store.path))
        assert len(list(dead.parent.iterdir())) == 1
    assert [each.exists() for each in (old, fresh, torn, dead)] == [False, True, False, False]
    assert blob_names(store) == before


@pytest.fixture
def full_disk(monkeypatch, store):
    """A disk on which an index can be written only once the reserve is gone."""
    add(store, "x", b"weights")
    write = files.write_durably
    kept = store.path / ".pyrunner" / "reserve"

    def refuse(path: Path, content: bytes) -> None:
        if kept.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    monkeypatch.setattr(index, "write_durably", refuse)
    return kept


@pytest.mark.usefixtures("full_disk")
def test_rm_works_on_a_full_disk_and_sets_its_room_aside_again(store):
    assert [each.kind for each in store.remove("x")] == ["Untagged", "Deleted"]
    assert blob_names(store) == set()
    assert (store.path / ".pyrunner" / "reserve").stat().st_size == reserve.SIZE_BYTES


def test_adding_on_a_full_disk_leaves_the_reserve_to_removals(store, full_disk):
    with pytest.raises(StoreIOError, match="No space left"):
        add(store, "y", b"other")
    assert full_disk.exists()
    assert verification.verify(store).damages == ()


def test_model_is_used_on_a_full_disk(store, monkeypatch):
    add(store, "x", b"weights")
    path = store.path / ".pyrunner" / "reserve"
    create = leases._create

    def refuse(*arguments: Any) -> int:
        if path.stat().st_size == reserve.SIZE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return create(*arguments)

    monkeypatch.setattr(leases, "_create", refuse)
    model, lease = store.acquire("x")
    with lease:
        store.remove("x")
        assert model.weight_paths[0].read_bytes() == b"weights"


def _kept(store: Store, model_id: str) -> Path:
    folder = prefixes.folder_for(store.path, model_id)
    assert folder is not None
    (folder / "a.prefix").write_bytes(b"1" * 10_000)
    return folder


def test_kept_prefixes_go_with_their_model(store):
    going, staying = add(store, "x", b"1"), add(store, "y", b"2")
    gone, stays = _kept(store, going.id), _kept(store, staying.id)
    assert housekeeping.prefixes_bytes(store) >= 20_000
    store.remove("x")
    assert (gone.exists(), stays.exists()) == (False, True)
    assert 10_000 <= housekeeping.prefixes_bytes(store) < 20_000
    assert verification.verify(store).damages == ()


def test_kept_prefixes_stay_while_a_model_has_a_name(store):
    folder = _kept(store, add(store, "x", b"1").id)
    store.tag("x", "y")
    store.remove("x")
    assert folder.exists()


def test_purge_removes_every_kept_prefix_and_counts_them(store):
    folder = _kept(store, add(store, "x", b"1").id)
    assert housekeeping.purge(store).freed_bytes > 10_000
    assert not folder.exists()
    assert housekeeping.prefixes_bytes(store) == 0


def test_prefixes_of_no_model_go_when_somebody_cleans(store):
    add(store, "x", b"1")
    folder = _kept(store, f"sha256:{'0' * 64}")
    assert housekeeping.clean(store) == 10_000
    assert not folder.exists()


def test_the_folder_of_prefixes_is_of_this_user_alone(store):
    model = add(store, "x", b"1")
    folder = prefixes.folder_for(store.path, model.id)
    assert folder is not None
    for each in (folder, folder.parent):
        assert each.stat().st_mode & 0o777 == 0o700
        each.chmod(0o755)
    assert prefixes.folder_for(store.path, model.id) == folder
    assert {each.stat().st_mode & 0o777 for each in (folder, folder.parent)} == {0o700}


def test_where_no_folder_can_be_made_there_are_no_prefixes(store, caplog):
    model = add(store, "x", b"1")
    (store.path / ".pyrunner" / "prefixes").write_bytes(b"a file")
    assert prefixes.folder_for(store.path, model.id) is None
    assert "no prefixes are kept on disk" in caplog.text
