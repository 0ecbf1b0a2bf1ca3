"""A disk that is really full (ENOSPC): one sentence, a clean store, and all works given room.

In tests/unit/models/test_disk_full.py each write is the one that is refused, with another error.
"""

import random
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from support.artifacts import NAMES, add, blob_names, described, new_store
from support.command_line import run
from support.disk_limit import fill, small_disk
from support.gguf_files import write_tiny_gguf
from support.recording import ImpatientClient, Told
from support.scripted_registry import Handler, ScriptedRegistry, scripted_registry

from pyrunner.config import RegistryConfig
from pyrunner.errors import StoreFullError, StoreIOError
from pyrunner.models import housekeeping, reserve
from pyrunner.models.packaging import PackageOptions, package
from pyrunner.models.progress import OnProgress, ProgressEvent
from pyrunner.models.store import Store, StoredModel
from pyrunner.models.tar_loading import load
from pyrunner.models.tar_writing import ModelTar
from pyrunner.models.transfer import pull
from pyrunner.registry.manifest import MAX_MANIFEST_BYTES
from pyrunner.registry.ranges import Span

MIB = 1024 * 1024
DISK_BYTES = 48 * MIB
WEIGHTS = random.Random(4).randbytes(9 * MIB + 123)
BLOB = described(WEIGHTS).digest
ONE_STREAM = RegistryConfig(max_attempts=3, timeout_s=60)
RANGED = RegistryConfig(
    max_attempts=3, timeout_s=60, n_ranges=3, range_bytes=2 * MIB, ranges_above_bytes=MIB
)
SENTENCE = r"No space left on device\. Check the free space and the permissions there\.$"


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", DISK_BYTES) as disk:
        yield disk


@pytest.fixture
def store(disk):
    store = new_store(disk)
    add(store, "kept", b"1")
    return store


@pytest.fixture
def registry():
    with scripted_registry() as registry:
        registry.hold("a/b:1", WEIGHTS)
        yield registry


@pytest.fixture
def is_clean(store, disk, tmp_path):
    """Ask `pyrunner store verify`, and look whether the model that was there still is."""

    def look() -> None:
        extra = {"PYRUNNER_HOME": str(disk)}
        done = run("store", "verify", home=tmp_path, extra=extra)
        assert done.returncode == 0, done.stdout + done.stderr
        assert store.find("kept").weight_paths[0].read_bytes() == b"1"
        assert list((store.path / ".pyrunner" / "leases").iterdir()) == []

    return look


def _fills_when_half_is_sent(disk: Path) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        content = handler.blob()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        fill(disk)
        handler.wfile.write(content[len(content) // 2 :])

    return answer


def _pull(store: Store, registry: ScriptedRegistry, config: RegistryConfig) -> bytes:
    with ImpatientClient(config=config) as client:
        model = pull(store, client, f"{registry.host}/a/b:1", Told()).model
    return model.weight_paths[0].read_bytes()


def test_pull_over_one_connection(store, disk, registry, is_clean):
    registry.faults[f"blobs/{BLOB}"] = [_fills_when_half_is_sent(disk)]
    with pytest.raises(StoreIOError, match=SENTENCE):
        _pull(store, registry, ONE_STREAM)
    is_clean()
    (disk / "filler").unlink()
    assert _pull(store, registry, ONE_STREAM) == WEIGHTS
    is_clean()
    [asked] = [each["Range"] for each in registry.headers_of("GET", BLOB)[1:]]
    assert int(asked.removeprefix("bytes=").removesuffix("-")) > 2 * MIB


def test_pull_over_several_connections(store, disk, registry, is_clean):
    def fills(handler: Handler) -> None:
        fill(disk)
        handler._serve()

    registry.faults[f"blobs/{BLOB}"] = [Handler._serve, Handler._serve, fills]
    with pytest.raises(StoreIOError, match=SENTENCE):
        _pull(store, registry, RANGED)
    is_clean()
    (disk / "filler").unlink()
    n_asked = len(registry.headers_of("GET", BLOB))
    assert _pull(store, registry, RANGED) == WEIGHTS
    is_clean()
    asked = [each["Range"] for each in registry.headers_of("GET", BLOB)[n_asked:]]
    assert f"bytes=0-{2 * MIB - 1}" not in asked


def test_ranges_that_came_whole_survive_behind_a_hole(store, disk):
    layer = described(WEIGHTS)
    with store.lease([layer.digest]) as lease:
        with store.incoming(layer, lease) as sink:
            sink.spread()
            sink.write_at(0, WEIGHTS[: 2 * MIB])
            sink.write_at(4 * MIB, WEIGHTS[4 * MIB : 8 * MIB])
            fill(disk)
            with pytest.raises(StoreIOError, match=SENTENCE):
                sink.write_at(2 * MIB, WEIGHTS[2 * MIB : 4 * MIB])
        assert shutil.disk_usage(disk).free >= MIB
        (disk / "filler").unlink()
        with store.incoming(layer, lease) as sink:
            assert sink.missing() == [Span(2 * MIB, 4 * MIB), Span(7 * MIB, len(WEIGHTS))]
            for each in sink.missing():
                sink.write_at(each.first, WEIGHTS[each.first : each.end])
            assert sink.publish().read_bytes() == WEIGHTS


def test_pull_onto_a_full_disk_asks_for_nothing(store, disk, registry, is_clean):
    fill(disk)
    with pytest.raises(StoreFullError, match="has no room: 10 MiB are needed"):
        _pull(store, registry, RANGED)
    assert registry.headers_of("GET", BLOB) == []
    is_clean()


def test_package(store, disk, tmp_path, is_clean):
    options = PackageOptions(gguf=write_tiny_gguf(tmp_path / "x.gguf", n_vocab=12_000))

    def fills(event: ProgressEvent) -> None:
        if event.layer_current > event.layer_size // 2:
            fill(disk)

    def make(on_progress: OnProgress = lambda _: None) -> StoredModel:
        return package(store, options, "org/x", lambda _: None, on_progress)

    fill(disk, but_bytes=2 * MIB)
    with pytest.raises(StoreFullError, match="has no room: 4 MiB are needed"):
        make()
    (disk / "filler").unlink()
    with pytest.raises(StoreIOError, match=SENTENCE):
        make(fills)
    assert store.blobs.partial_bytes() == 0
    is_clean()
    (disk / "filler").unlink()
    assert make().weight_paths[0].stat().st_size > 3 * MIB
    is_clean()


def test_tag(store, disk, is_clean):
    while reserve.give_some(store.path / ".pyrunner" / "reserve"):
        pass  # as leases do that have been taken on a full disk
    fill(disk)
    with pytest.raises(StoreIOError, match=SENTENCE):
        store.tag("kept", "other")
    is_clean()
    (disk / "filler").unlink()
    store.tag("kept", "other")
    assert store.find("other").id == store.find("kept").id
    is_clean()


class _FillingSource(BytesIO):
    """A tar that fills the disk when half of it has been read."""

    def __init__(self, content: bytes, disk: Path) -> None:
        super().__init__(content)
        self._disk = disk

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > len(self.getbuffer()) // 2:
            fill(self._disk)
        return super().read(size)


@pytest.fixture
def tar(tmp_path):
    source = Store(tmp_path / "source", NAMES)
    add(source, "x", WEIGHTS)
    with ModelTar(source, "x") as tar:
        return b"".join(tar.chunks())


def test_load_that_fills_the_disk(store, disk, tar, is_clean):
    before = blob_names(store)
    with pytest.raises(StoreIOError, match=SENTENCE):
        load(store, _FillingSource(tar, disk), "t")
    assert blob_names(store) == before
    assert list((store.path / ".pyrunner" / "incoming").iterdir()) == []
    is_clean()
    (disk / "filler").unlink()
    assert load(store, BytesIO(tar), "t").weight_paths[0].read_bytes() == WEIGHTS
    is_clean()


def test_load_onto_a_full_disk_is_refused_with_the_numbers(store, disk, tar, is_clean):
    fill(disk, but_bytes=5 * MIB)
    with pytest.raises(StoreFullError) as caught:
        load(store, BytesIO(tar), "t")
    assert caught.value.needed_bytes == len(WEIGHTS)
    assert 4 * MIB < caught.value.free_bytes <= 5 * MIB
    is_clean()


def test_rm_and_gc_work_on_a_full_disk(store, disk, is_clean):
    add(store, "going", b"2" * 3 * MIB)
    orphan = described(b"orphan")
    with store.lease([orphan.digest]) as lease:
        store.put_blob(orphan, b"orphan", lease)
    fill(disk)
    assert housekeeping.clean(store) == len(b"orphan")
    is_clean()
    fill(disk)
    assert [each.kind for each in store.remove("going")] == ["Untagged", "Deleted"]
    is_clean()
    assert (store.path / ".pyrunner" / "reserve").stat().st_size == reserve.SIZE_BYTES


def test_rm_works_with_the_largest_index(store, disk):
    index = store.path / "index.json"
    content = index.read_bytes()
    padding = (
        b'"annotations":{"padding":"' + b"x" * (MAX_MANIFEST_BYTES - len(content) - 700) + b'",'
    )
    index.write_bytes(content.replace(b'"annotations":{', padding))
    while reserve.give_some(store.path / ".pyrunner" / "reserve"):
        pass
    add(store, "going", b"2")
    assert index.stat().st_size > MAX_MANIFEST_BYTES - 1000
    fill(disk)
    store.remove("going")
    assert [each.tags for each in store.list()] == [["docker.io/ai/kept:latest"]]


def test_rm_without_a_reserve_changes_nothing(store, disk, is_clean):
    (store.path / ".pyrunner" / "reserve").unlink()
    fill(disk)
    with pytest.raises(StoreIOError, match=SENTENCE):
        store.remove("kept")
    is_clean()
    (disk / "filler").unlink()
    store.remove("kept")
    assert blob_names(store) == set()


def test_store_on_a_full_disk_is_made_the_next_time(disk):
    fill(disk, but_bytes=8192)
    with pytest.raises(StoreIOError, match=SENTENCE):
        add(new_store(disk), "x", b"1")
    (disk / "filler").unlink()
    add(new_store(disk), "x", b"1")
