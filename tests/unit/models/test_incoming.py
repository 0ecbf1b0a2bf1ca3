"""The way in for a blob when the system refuses something: nothing stays open, nothing is lost."""

import os

import pytest
from support.artifacts import blob_names, described, new_store
from support.disk_limit import n_open_files, refuse

from pyrunner.errors import StoreIOError
from pyrunner.models import blobs, incoming
from pyrunner.models.cells import CELL_BYTES

CONTENT = b"0123456789" * 300_000
BLOB = described(CONTENT)
assert len(CONTENT) > 2 * CELL_BYTES


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture
def lease(store):
    with store.lease([BLOB.digest]) as lease:
        yield lease


@pytest.fixture
def partial(store):
    return store.path / ".pyrunner" / "incoming" / f"{BLOB.digest.hex}.partial"


@pytest.mark.parametrize(
    ("target", "name"), [(os, "ftruncate"), (blobs, "try_lock"), (blobs, "is_at")]
)
def test_way_in_that_cannot_be_opened_leaves_no_open_file(
    store, lease, partial, monkeypatch, target, name
):
    partial.write_bytes(CONTENT + b"x")  # too long, so it would start again
    n_open = n_open_files()
    with monkeypatch.context() as patch:
        patch.setattr(target, name, refuse)
        with pytest.raises(StoreIOError, match="No space left"):
            store.incoming(BLOB, lease)
    assert n_open_files() == n_open
    with store.incoming(BLOB, lease) as sink:  # and no lock
        assert sink.n_bytes == 0


def test_record_that_cannot_be_read_again_leaves_no_open_file(store, lease, partial, monkeypatch):
    with store.incoming(BLOB, lease) as sink:
        sink.spread()
        sink.write_at(0, CONTENT[:CELL_BYTES])
    n_open = n_open_files()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        with pytest.raises(StoreIOError, match="No space left"):
            store.incoming(BLOB, lease)
    assert n_open_files() == n_open
    with store.incoming(BLOB, lease) as sink:
        assert sink.n_bytes == CELL_BYTES
    assert partial.exists()


@pytest.mark.parametrize("is_spread", [False, True], ids=["in order", "in any order"])
def test_room_that_cannot_be_given_back_leaves_no_open_file(
    store, lease, monkeypatch, *, is_spread
):
    n_open = n_open_files()
    sink = store.incoming(BLOB, lease)
    if is_spread:
        sink.spread()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        with pytest.raises(StoreIOError):
            sink.write_at(0, CONTENT[:5])
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(StoreIOError):
            sink.close()
    assert n_open_files() == n_open
    sink.close()


@pytest.mark.parametrize("name", ["pwrite", "ftruncate"])
def test_blob_that_cannot_be_spread_goes_on_in_order(store, lease, monkeypatch, name):
    n_open = n_open_files()
    with store.incoming(BLOB, lease) as sink:
        sink.write(CONTENT[: 2 * CELL_BYTES])
        with monkeypatch.context() as patch:
            patch.setattr(os, name, refuse)
            with pytest.raises(StoreIOError):
                sink.spread()
        assert sink.append_from() == 2 * CELL_BYTES
    assert n_open_files() == n_open
    with store.incoming(BLOB, lease) as sink:
        assert sink.n_bytes == CELL_BYTES  # one MiB was given back
        sink.write(CONTENT[CELL_BYTES:])
        assert sink.publish().read_bytes() == CONTENT


def test_giving_up_touches_nothing_that_has_its_final_name(store, lease, monkeypatch):
    with store.incoming(BLOB, lease) as sink:
        sink.write(CONTENT)
        monkeypatch.setattr(incoming, "sync_folder", refuse)
        with pytest.raises(StoreIOError):
            sink.publish()
        sink.give_up()
    assert blob_names(store) == {BLOB.digest.hex}
    assert store.blobs.path(BLOB.digest).read_bytes() == CONTENT


def test_giving_up_leaves_nothing(store, lease, partial):
    with store.incoming(BLOB, lease) as sink:
        sink.write(CONTENT[:5])
        sink.give_up()
    assert not partial.exists()
