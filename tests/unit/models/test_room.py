import re

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
    numbers = r"1,099,511,627,777 MiB are needed, 16 MiB have to stay free, and [\d,]+ MiB are\."
    assert re.search(rf"{numbers} Remove models with: pyrunner rm$", caught.value.sentence)


def test_refusal_names_what_unfinished_transfers_hold(store):
    big = described(bytes(3 * 1024 * 1024))
    with store.lease([big.digest]) as lease, store.incoming(big, lease) as sink:
        sink.write(b"1" * (2 * 1024 * 1024 + 1))
    with pytest.raises(StoreFullError, match=r"or the 3 MiB of unfinished transfers with: .* gc"):
        require_room(store, [HUGE])
