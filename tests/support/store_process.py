"""What tests run in a process of its own against a store: ``store_process.py STORE VERB TEXT``.

Says ``ready`` on standard output when it is where the test wants it, then waits for its input to
close, unless the test kills it first.
"""

import sys
from pathlib import Path

from pyrunner.models.store import Store
from pyrunner.registry.digest import Digest
from support.artifacts import NAMES, add, described, made


def _wait() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


def _hold_lease(store: Store, text: str) -> None:
    _, lease = store.acquire(text)
    with lease:
        _wait()


def _half_a_blob(store: Store, text: str) -> None:
    content = text.encode() * 1000
    descriptor = described(content)
    with store.lease([descriptor.digest]) as lease:
        sink = store.incoming(descriptor, lease)
        assert sink is not None
        with sink:
            sink.write(content[: len(content) // 2])
            _wait()


def _blobs_without_an_entry(store: Store, text: str) -> None:
    manifest, blobs = made(text.encode())
    with store.lease([Digest.of(manifest), *(each.digest for each, _ in blobs)]) as lease:
        for descriptor, content in blobs:
            store.put_blob(descriptor, content, lease)
        _wait()


def _inside_a_change(store: Store, text: str) -> None:
    add(store, text, b"1")
    with store._index.changing():
        _wait()


def _many(store: Store, text: str) -> None:
    _wait()
    for i in range(25):
        add(store, f"{text}:{i}", f"{text} {i}".encode())
        if i % 2:
            store.remove(f"{text}:{i}")


_VERBS = {
    "lease": _hold_lease,
    "half": _half_a_blob,
    "orphans": _blobs_without_an_entry,
    "change": _inside_a_change,
    "many": _many,
}

if __name__ == "__main__":
    _VERBS[sys.argv[2]](Store(Path(sys.argv[1]), NAMES), sys.argv[3])
