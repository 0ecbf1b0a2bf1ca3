"""The store under several processes, and under processes that are killed."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from support import store_process
from support.artifacts import add, blob_names, described, new_store
from support.tree import ROOT

from pyrunner.models.store import Store

TESTS = str(ROOT / "tests")


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@contextlib.contextmanager
def _running(store: Store, verb: str, text: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has arrived where the verb says; killed, if it still lives, at the end."""
    process = subprocess.Popen(
        [sys.executable, store_process.__file__, store.path, verb, text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([TESTS, os.environ.get("PYTHONPATH", "")])},
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def _leases(store: Store) -> int:
    return len(list((store.path / ".pyrunner" / "leases").iterdir()))


def test_lease_of_another_process_keeps_blobs_until_it_is_killed(store):
    model = add(store, "x", b"1")
    with _running(store, "lease", "x") as process:
        store.remove("x")
        assert len(blob_names(store)) == len(model.digests)
        process.kill()
        process.wait()
        assert _leases(store) == 1
        store.collect()
    assert (blob_names(store), _leases(store)) == (set(), 0)


def test_lease_that_was_handed_to_a_child_ends_with_the_child(store):
    model = add(store, "x", b"1")
    _, lease = store.acquire("x")
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lease.fileno()])
    lease.hand_over()
    with child:
        store.remove("x")
        assert len(blob_names(store)) == len(model.digests)
        child.kill()
    store.collect()
    assert blob_names(store) == set()


def test_blob_of_a_killed_process_is_continued(store):
    content = b"weights" * 1000
    with _running(store, "half", "weights") as process:
        assert blob_names(store) == set()
        process.kill()
        process.wait()
    layer = described(content)
    with store.lease([layer.digest]) as lease, store.incoming(layer, lease) as sink:
        assert sink.n_bytes == len(content) // 2
        sink.write(content[sink.n_bytes :])
        sink.publish()
    assert store.blobs.path(layer.digest).read_bytes() == content


def test_blobs_of_a_process_killed_before_its_index_entry_are_collected(store):
    with _running(store, "orphans", "weights") as process:
        store.collect()
        assert len(blob_names(store)) == 2
        process.kill()
        process.wait()
    store.collect()
    assert blob_names(store) == set()


def test_index_lock_of_a_killed_process_is_free_and_readers_never_wait(store):
    with _running(store, "change", "x") as process:
        assert [each.tags for each in store.list()] == [["docker.io/ai/x:latest"]]
        tagged = threading.Thread(target=lambda: store.tag("x", "y"))
        tagged.start()
        tagged.join(0.1)
        assert tagged.is_alive()
        process.kill()
        tagged.join(10)
    assert store.find("y").tags == ["docker.io/ai/x:latest", "docker.io/ai/y:latest"]


def test_processes_that_add_and_remove_at_once_lose_nothing(store):
    names = ("one", "two", "three")
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_running(store, "many", name)) for name in names]
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        assert [process.wait(60) for process in processes] == [0, 0, 0]
    models = store.list()
    kept = {f"docker.io/ai/{name}:{i}" for name in names for i in range(0, 25, 2)}
    assert {tag for each in models for tag in each.tags} == kept
    for model in models:
        assert all(store.blobs.has(each) for each in model.manifest.blobs)
    store.collect()
    needed = {digest.removeprefix("sha256:") for each in models for digest in each.digests}
    assert blob_names(store) == needed
