"""The disk fills up at any write: nothing is lost, and the same again succeeds afterwards."""

import pytest
from support.artifacts import add, new_store
from support.disk_limit import limited_files

from pyrunner.errors import StoreIOError
from pyrunner.models import verification

LIMITS = (0, 1, 2, 40, 63, 64, 100, 200, 300, 400, 500, 700, 900)
WEIGHTS = b"weights" * 500


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.mark.parametrize("n_bytes", LIMITS)
def test_adding_to_a_full_disk_loses_nothing(store, n_bytes):
    kept = add(store, "kept", b"1")
    with limited_files(n_bytes), pytest.raises(StoreIOError):
        add(store, "x", WEIGHTS)
    assert verification.verify(store).damages == ()
    assert store.list() == [kept]
    add(store, "x", WEIGHTS)
    assert store.find("x").weight_paths[0].read_bytes() == WEIGHTS
    assert verification.verify(store).damages == ()


@pytest.mark.parametrize("n_bytes", LIMITS[:5])
@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.tag("x", "y"),
        lambda store: store.remove("x"),
        lambda store: add(store, "y", WEIGHTS),
    ],
    ids=["tag", "rm", "name"],
)
def test_changing_a_full_disk_changes_all_or_nothing(store, n_bytes, change):
    model = add(store, "x", WEIGHTS)
    with limited_files(n_bytes), pytest.raises(StoreIOError):
        change(store)
    assert verification.verify(store).damages == ()
    assert store.list() == [model]
    change(store)
    assert verification.verify(store).damages == ()


@pytest.mark.parametrize("n_bytes", LIMITS)
def test_store_that_could_not_be_made_is_made_the_next_time(store, n_bytes):
    with limited_files(n_bytes), pytest.raises(StoreIOError):
        add(store, "x", WEIGHTS)
    add(store, "x", WEIGHTS)
    assert verification.verify(store).damages == ()
