"""A blob on its way out: a slice of a file, with a lease and a place of its own."""

import os

import pytest
from support.artifacts import add, new_store

from pyrunner.errors import QueueFullError, StoreCorruptError
from pyrunner.models.store import Store
from pyrunner.registry.manifest import Descriptor
from pyrunner.server.admission import Gate
from pyrunner.server.registry.blobs import BlobBody, open_body
from pyrunner.server.registry.ranges import Slice

WEIGHTS = bytes(range(200))


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture
def layer(store):
    return add(store, "ai/x:1", WEIGHTS).manifest.layers[0]


@pytest.fixture
def gate():
    return Gate(limit=1, what="blobs")


def _opened(store: Store, gate: Gate, layer: Descriptor, part: Slice) -> BlobBody:
    body = open_body(store, gate, layer, part)
    assert body is not None
    return body


def _leases(store) -> int:
    return len(list((store.path / ".pyrunner" / "leases").iterdir()))


def test_slice_reads_as_a_file_of_its_own(store, layer, gate):
    body = _opened(store, gate, layer, Slice(50, 100))
    assert body.read(10) == WEIGHTS[50:60]
    assert body.tell() == 10
    assert body.seek(0, os.SEEK_END) == 100
    assert body.read(10) == b""
    assert body.seek(-30, os.SEEK_CUR) == 70
    assert body.read() == WEIGHTS[120:150]
    assert body.seek(0) == 0
    assert body.read(1000) == WEIGHTS[50:150]
    body.close()


def test_removal_leaves_the_blob_until_its_reader_has_ended(store, layer, gate):
    path = store.blobs.path(layer.digest)
    body = _opened(store, gate, layer, Slice(0, 200))
    store.remove("ai/x:1")
    assert path.is_file()
    assert body.read() == WEIGHTS
    body.close()
    store.collect()
    assert not path.exists()


def test_closing_gives_back_the_file_the_lease_and_the_place(store, layer, gate):
    body = _opened(store, gate, layer, Slice(0, 200))
    assert (_leases(store), gate.n_active) == (1, 1)
    with pytest.raises(QueueFullError):
        open_body(store, gate, layer, Slice(0, 200))
    body.close()
    body.close()
    assert (_leases(store), gate.n_active) == (0, 0)


def test_blob_that_has_gone_is_none_and_keeps_nothing(store, layer, gate):
    store.remove("ai/x:1")
    assert open_body(store, gate, layer, Slice(0, 200)) is None
    assert (_leases(store), gate.n_active) == (0, 0)


def test_blob_of_another_size_is_damaged_and_keeps_nothing(store, layer, gate):
    store.blobs.path(layer.digest).write_bytes(b"short")
    with pytest.raises(StoreCorruptError, match="another size"):
        open_body(store, gate, layer, Slice(0, 200))
    assert (_leases(store), gate.n_active) == (0, 0)
