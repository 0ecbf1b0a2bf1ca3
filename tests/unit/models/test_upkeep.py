"""models.upkeep: what verification sees, and what repair and purge leave."""

import pytest
from support.artifacts import add, blob_names, new_store

from pyrunner.errors import StoreCorruptError, StoreIOError
from pyrunner.models.store import Store
from pyrunner.models.upkeep import Upkeep
from pyrunner.models.verification import Verified


@pytest.fixture
def store(tmp_path):
    made = new_store(tmp_path)
    add(made, "ai/a", b"weights of a")
    add(made, "ai/b", b"weights of b")
    return made


@pytest.fixture
def upkeep(store):
    return Upkeep(store.path)


def _verify(upkeep: Upkeep) -> Verified:
    return upkeep.verify(lambda _n_done, _n_all: None)


def _weights(store: Store, name: str) -> str:
    return str(store.find(name).manifest.layers[0].digest)


def test_whole_store_has_no_damage_and_tells_its_progress(store, upkeep):
    told: list[tuple[int, int]] = []
    seen = upkeep.verify(lambda *both: told.append(both))
    assert (seen.n_models, seen.n_blobs, seen.damages, seen.unneeded) == (2, 6, (), ())
    assert told[-1] == (seen.n_bytes, seen.n_bytes)
    assert len(told) == len(blob_names(store))


def test_no_store_is_whole(tmp_path):
    assert _verify(Upkeep(tmp_path / "none")).n_models == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"weights of X", "has other bytes"), (b"short", "has another size"), (None, "is missing")],
)
def test_damaged_layer_is_found_and_its_models_are_named(store, upkeep, content, problem):
    path = store.blobs.path(_weights(store, "ai/a"))
    path.unlink()
    _ = content is None or path.write_bytes(content)
    (damage,) = _verify(upkeep).damages
    assert (damage.problem, damage.models) == (problem, ("docker.io/ai/a:latest",))


def test_damaged_manifest_is_found(store, upkeep):
    path = store.blobs.path(store.find("ai/a").id)
    path.write_bytes(b"x" * path.stat().st_size)
    assert [each.problem for each in _verify(upkeep).damages] == ["is no manifest"]


def test_dropped_damage_is_missing_then_and_the_rest_stays(store, upkeep):
    path = store.blobs.path(_weights(store, "ai/a"))
    path.write_bytes(b"weights of X")
    upkeep.drop(_verify(upkeep).damages)
    assert [each.problem for each in _verify(upkeep).damages] == ["is missing"]
    assert store.blobs.has(store.find("ai/b").manifest.layers[0])


def test_blob_that_nobody_needs_is_told_and_collected(store, upkeep):
    digest = _weights(store, "ai/a")
    with store.lease([digest]):
        store.remove("ai/a")
        assert _verify(upkeep).unneeded == (digest,)
    assert upkeep.collect() == len(b"weights of a")
    assert _verify(upkeep).unneeded == ()


def test_index_that_cannot_be_read_is_rebuilt_without_names(store, upkeep):
    ids = {each.id for each in store.list()}
    (store.path / "index.json").write_bytes(b"{")
    with pytest.raises(StoreCorruptError, match=r"index\.json"):
        _verify(upkeep)
    assert upkeep.rebuild_index() == 2
    assert {each.id for each in store.list()} == ids
    assert [each.tags for each in store.list()] == [[], []]


def test_readable_index_is_not_rebuilt(store, upkeep):
    assert upkeep.rebuild_index() == 0
    assert store.find("ai/a").tags == ["docker.io/ai/a:latest"]


def test_purge_leaves_an_empty_store_that_works(store, upkeep):
    assert upkeep.purge() > 0
    assert (store.list(), blob_names(store)) == ([], set())
    add(store, "ai/c", b"weights of c")
    assert _verify(upkeep).damages == ()


def test_purge_spares_what_is_in_use(store, upkeep):
    _, lease = store.acquire("ai/a")
    with lease:
        upkeep.purge()
        assert len(blob_names(store)) == 3
    upkeep.collect()
    assert blob_names(store) == set()


def test_purge_works_on_an_index_that_cannot_be_read(store, upkeep):
    (store.path / "index.json").write_bytes(b"{")
    upkeep.purge()
    assert (store.list(), blob_names(store)) == ([], set())


def test_purge_refuses_a_folder_that_is_no_store(tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(StoreIOError, match="no model store"):
        Upkeep(tmp_path).purge()
    assert (tmp_path / "letters.txt").exists()
