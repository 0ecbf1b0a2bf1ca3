import errno
import os
import threading
from collections.abc import Callable

import pytest
from support.artifacts import add, blob_names, described, made, new_store
from support.disk_limit import limited_files

from pyrunner.errors import (
    DigestMismatchError,
    InvariantError,
    StoreCorruptError,
    StoreIOError,
    StoreLockedError,
)
from pyrunner.models.blobs import WaitCancelledError
from pyrunner.models.collection import STALE_PARTIAL_S, collect
from pyrunner.models.files import locked, os_errors
from pyrunner.models.index import Entries, IndexFile
from pyrunner.models.layout import Layout
from pyrunner.models.store import Store
from pyrunner.registry.digest import Digest

CONTENT = b"0123456789" * 100_000
BLOB = described(CONTENT)
MIB = 1024 * 1024


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture
def lease(store):
    with store.lease([BLOB.digest]) as lease:
        yield lease


def _partials(store: Store) -> list[str]:
    return sorted(each.name for each in (store.path / ".pyrunner" / "incoming").iterdir())


def test_blob_has_its_name_only_after_publish(store, lease):
    with store.incoming(BLOB, lease) as sink:
        sink.write(CONTENT)
        assert blob_names(store) == set()
        path = sink.publish()
    assert path.read_bytes() == CONTENT
    assert _partials(store) == []
    assert store.incoming(BLOB, lease) is None


def test_partial_blob_is_continued_with_its_prefix_hashed_again(store, lease):
    with store.incoming(BLOB, lease) as sink:
        sink.write(CONTENT[:1234])
    with store.incoming(BLOB, lease) as sink:
        assert sink.n_bytes == 1234
        sink.write(CONTENT[1234:])
        sink.publish()
    assert store.blobs.path(BLOB.digest).read_bytes() == CONTENT


def test_partial_blob_that_was_tampered_with_is_refused_and_gone(store, lease):
    with store.incoming(BLOB, lease) as sink:
        sink.write(b"x" * 1234)
    with store.incoming(BLOB, lease) as sink:
        sink.write(CONTENT[1234:])
        with pytest.raises(DigestMismatchError):
            sink.publish()
    assert (_partials(store), blob_names(store)) == ([], set())


@pytest.mark.parametrize(
    "content", [CONTENT[:-1], CONTENT[:-1] + b"x", b""], ids=["short", "wrong", "empty"]
)
def test_wrong_bytes_are_not_published(store, lease, content):
    with store.incoming(BLOB, lease) as sink:
        sink.write(content)
        with pytest.raises(DigestMismatchError):
            sink.publish()
    assert (_partials(store), blob_names(store)) == ([], set())


def test_more_bytes_than_promised_are_refused_at_once(store, lease):
    with store.incoming(BLOB, lease) as sink, pytest.raises(DigestMismatchError):
        sink.write(CONTENT + b"x")
    assert _partials(store) == []


def test_partial_file_longer_than_the_blob_starts_again(store, lease):
    (store.path / ".pyrunner" / "incoming" / f"{BLOB.digest.hex}.partial").write_bytes(
        CONTENT + b"x"
    )
    with store.incoming(BLOB, lease) as sink:
        assert sink.n_bytes == 0


def test_blob_that_fills_the_disk_leaves_room_for_a_removal_and_can_be_continued(store):
    large = described(bytes(4 * MIB))
    with store.lease([large.digest]) as lease:
        with limited_files(3 * MIB), store.incoming(large, lease) as sink:
            sink.write(bytes(3 * MIB - 1))
            with pytest.raises(StoreIOError):
                sink.write(bytes(2))
        with store.incoming(large, lease) as sink:
            assert sink.n_bytes == 2 * MIB - 1
            sink.write(bytes(large.size - sink.n_bytes))
            assert sink.publish().stat().st_size == large.size


def test_second_writer_of_a_blob_waits_and_then_finds_it(store, lease):
    found = []
    is_waiting = threading.Event()

    def asked():
        is_waiting.set()
        return False

    with store.incoming(BLOB, lease) as sink:
        second = threading.Thread(target=lambda: found.append(store.incoming(BLOB, lease, asked)))
        second.start()
        assert is_waiting.wait(5)
        sink.write(CONTENT)
        sink.publish()
    second.join(5)
    assert found == [None]
    assert _partials(store) == []


def test_waiting_for_another_writer_can_be_cancelled(store, lease):
    with store.incoming(BLOB, lease), pytest.raises(WaitCancelledError):
        store.incoming(BLOB, lease, lambda: True)


def test_blob_without_a_lease_is_a_bug(store, lease):
    with pytest.raises(InvariantError):
        store.incoming(described(b"other"), lease)


def test_reading_a_blob_compares_its_digest(store):
    model = add(store, "x", b"1")
    store.blobs.path(model.manifest.config.digest).write_bytes(b"{}")
    with pytest.raises(StoreCorruptError):
        store.blobs.read(model.manifest.config.digest, max_bytes=100)
    with pytest.raises(StoreCorruptError):
        store.blobs.read(BLOB.digest, max_bytes=100)


def test_stale_partial_files_go_and_fresh_or_written_ones_stay(store, lease):
    incoming = store.path / ".pyrunner" / "incoming"
    stale, fresh = incoming / "stale.partial", incoming / "fresh.partial"
    stale.write_bytes(b"x")
    fresh.write_bytes(b"x")
    with store.incoming(BLOB, lease) as sink:
        sink.write(b"0")
        written = incoming / f"{BLOB.digest.hex}.partial"
        for path in (stale, written):
            long_ago = path.stat().st_mtime - STALE_PARTIAL_S - 60
            os.utime(path, (long_ago, long_ago))
        store.collect()
        assert _partials(store) == sorted([fresh.name, written.name])


def test_lease_of_a_dead_holder_protects_nothing(store):
    model = add(store, "x", b"1")
    lease = store.lease(model.digests)
    store.remove("x")
    assert len(blob_names(store)) == 3
    lease.hand_over()  # as the death of its only holder does: closed, the file stays
    store.collect()
    assert blob_names(store) == set()
    assert list((store.path / ".pyrunner" / "leases").iterdir()) == []


def test_lease_taken_during_a_collection_waits_for_it(store):
    add(store, "x", b"1")
    lock = store.path / ".pyrunner" / "collection.lock"
    taken = threading.Event()

    def take():
        with store.lease([BLOB.digest]):
            taken.set()

    with locked(lock, timeout_s=1):
        thread = threading.Thread(target=take)
        thread.start()
        assert not taken.wait(0.1)
    assert taken.wait(5)
    thread.join(5)


def test_lock_that_somebody_holds_is_given_up_in_time(tmp_path):
    path = tmp_path / "lock"
    with locked(path, timeout_s=1), pytest.raises(StoreLockedError), locked(path, timeout_s=0):
        pass


def test_operating_system_errors_name_the_path_they_are_about(tmp_path):
    with pytest.raises(StoreIOError, match="No space left") as caught, os_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.path == str(tmp_path)
    with pytest.raises(StoreIOError) as caught, os_errors(tmp_path):
        (tmp_path / "missing").read_bytes()
    assert caught.value.path == str(tmp_path / "missing")


class _SlowIndex(IndexFile):
    """Lets somebody finish a pull between the reading and the use of the index."""

    def __init__(self, layout: Layout, meanwhile: Callable[[], object]) -> None:
        super().__init__(layout.index, layout.index_lock)
        self._meanwhile = meanwhile

    def read(self) -> Entries:
        entries = super().read()
        self._meanwhile()
        return entries


def test_model_whose_pull_ends_during_a_collection_keeps_its_blobs(store):
    add(store, "other", b"0")
    manifest, blobs = made(CONTENT)
    lease = store.lease([Digest.of(manifest), *(each.digest for each, _ in blobs)])
    for descriptor, content in blobs:
        store.put_blob(descriptor, content, lease)

    def finish():
        store.put(manifest, store.parse("x"), lease)
        lease.close()

    layout = Layout(store.path)
    collect(layout, _SlowIndex(layout, finish), store.blobs)
    assert store.find("x").weight_paths[0].read_bytes() == CONTENT
