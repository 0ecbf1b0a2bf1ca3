import pytest
from support.artifacts import add, described, new_store

from pyrunner.errors import StoreFullError
from pyrunner.models.room import n_missing_bytes, require_room
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import Descriptor

CONTENT = bytes(5000)
BLOB = described(CONTENT)
HUGE = Descriptor(media_type="x", size=2**60, digest=Digest.of(b"huge"))


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


def test_what_is_here_already_needs_no_room(store):
    whole = add(store, "x", b"weights").manifest.layers[0]
    with store.lease([BLOB.digest]) as lease:
        with store.incoming(BLOB, lease) as sink:
            sink.write(CONTENT[:2000])
        assert n_missing_bytes(store.blobs, [whole, BLOB]) == 3000
        require_room(store, [whole, BLOB])


def test_blobs_that_do_not_fit_are_refused_with_the_numbers(store):
    with store.lease([HUGE.digest]), pytest.raises(StoreFullError) as caught:
        require_room(store, [HUGE, BLOB])
    assert caught.value.needed_bytes == 2**60 + 5000
    assert 0 < caught.value.free_bytes < 2**60
    assert str(caught.value.free_bytes) in caught.value.sentence
