"""A store of a made-up older format: short names, and partial blobs among the whole ones."""

import threading

import pytest
from support.artifacts import add, new_store

from pyrunner.errors import StoreFormatError
from pyrunner.models import layout, verification
from pyrunner.models.files import LOCK_TIMEOUT_S, locked
from pyrunner.models.layout import Layout
from pyrunner.models.store import Store


def _upgrade(old: Layout) -> None:
    index = old.index.read_bytes().replace(b'"ref":', b'"org.opencontainers.image.ref.name":')
    old.index.write_bytes(index.replace(b'"ai/', b'"docker.io/ai/'))
    for path in old.blobs.glob("*.part"):
        path.replace(old.incoming / f"{path.stem}.partial")


@pytest.fixture
def older(tmp_path, monkeypatch):
    """A store of format 0 with a model ``x`` and a partial blob, and what upgrades it."""
    store = new_store(tmp_path)
    add(store, "x", b"weights")
    path = store.path / "index.json"
    content = path.read_bytes().replace(b"docker.io/ai/", b"ai/")
    path.write_bytes(content.replace(b"org.opencontainers.image.ref.name", b"ref"))
    (store.path / "blobs" / "sha256" / f"{'0' * 64}.part").write_bytes(b"half")
    (store.path / ".pyrunner" / "version").write_text("0\n")
    monkeypatch.setattr(layout, "UPGRADES", {0: _upgrade})
    return store


def _version(store: Store) -> str:
    return (store.path / ".pyrunner" / "version").read_text()


def test_older_store_is_upgraded_by_the_first_who_reads_it(older):
    [model] = older.list()
    assert model.tags == ["docker.io/ai/x:latest"]
    assert _version(older) == f"{layout.FORMAT}\n"
    assert verification.verify(older).damages == ()
    assert [each.read_bytes() for each in (older.path / ".pyrunner" / "incoming").iterdir()] == [
        b"half"
    ]


def test_older_store_without_its_upgrade_would_be_wrong(older, monkeypatch):
    monkeypatch.setattr(layout, "UPGRADES", {0: lambda _old: None})
    assert older.list()[0].tags == []
    assert verification.verify(older).damages != ()


def test_upgrade_that_is_cut_short_runs_again(older, monkeypatch):
    def cut_short(old: Layout) -> None:
        _upgrade(old)
        raise KeyboardInterrupt

    monkeypatch.setattr(layout, "UPGRADES", {0: cut_short})
    with pytest.raises(KeyboardInterrupt):
        older.list()
    assert _version(older) == "0\n"
    monkeypatch.setattr(layout, "UPGRADES", {0: _upgrade})
    assert [each.tags for each in older.list()] == [["docker.io/ai/x:latest"]]


def test_upgrade_waits_for_the_lock_and_runs_once(older, monkeypatch):
    runs = []

    def count(old: Layout) -> None:
        runs.append(1)
        _upgrade(old)

    monkeypatch.setattr(layout, "UPGRADES", {0: count})
    threads = [threading.Thread(target=older.list) for _ in range(4)]
    with locked(older.path / ".pyrunner" / "index.lock", timeout_s=LOCK_TIMEOUT_S):
        for thread in threads:
            thread.start()
        threads[0].join(0.1)
        assert (runs, threads[0].is_alive()) == ([], True)
    for thread in threads:
        thread.join(10)
    assert runs == [1]
    assert [each.tags for each in older.list()] == [["docker.io/ai/x:latest"]]


def test_newer_version_is_refused(older):
    (older.path / ".pyrunner" / "version").write_text("2\n")
    with pytest.raises(StoreFormatError, match="a newer version"):
        older.list()


@pytest.mark.parametrize("version", ["99999999999999999999\n", "one\n", "", "-1\n"])
def test_version_that_is_none_is_refused(older, version):
    (older.path / ".pyrunner" / "version").write_text(version)
    with pytest.raises(StoreFormatError, match=r"version holds no number; write 1 into it"):
        older.list()


def test_version_that_nothing_upgrades_is_refused(older, monkeypatch):
    monkeypatch.setattr(layout, "UPGRADES", {})
    with pytest.raises(StoreFormatError, match="has the format 0"):
        older.list()
