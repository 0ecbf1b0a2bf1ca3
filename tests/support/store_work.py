"""Work on a store to be killed in, or to do beside others: ``store_work.py STORE VERB ARGUMENT``.

Says ``ready``, then does its verb again and again; ``random`` does 200 operations and ends.
Everything that the verbs need is imported by then, so that work is killed and no start.
`once` does one round of a verb, for the test that completes what was killed.
"""

import contextlib
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pyrunner.config import RegistryConfig
from pyrunner.errors import ModelNotFoundError
from pyrunner.models import housekeeping, verification
from pyrunner.models.store import Store
from pyrunner.models.transfer import pull, push
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest
from support.artifacts import NAMES, add, described

WEIGHTS = b"weights" * 30_000
RANGED = RegistryConfig(n_ranges=3, range_bytes=64 * 1024, ranges_above_bytes=64 * 1024)
"""`WEIGHTS` come in four ranges."""
N_OPERATIONS = 200
N_NAMES = 6


def _tag(store: Store, _argument: str) -> None:
    add(store, "kept", b"1")
    other = add(store, None, b"2")
    for source in ("kept", other.id, "kept"):
        store.tag(source, "moving")


def _rm(store: Store, _argument: str) -> None:
    add(store, "kept", b"1")
    add(store, "going", WEIGHTS)
    store.tag("going", "going:too")
    store.remove("going")
    store.remove("going:too")


def _gc(store: Store, _argument: str) -> None:
    add(store, "kept", b"1")
    for i in range(3):
        layer = described(b"orphan %d" % i)
        with store.lease([layer.digest]) as lease:
            store.put_blob(layer, b"orphan %d" % i, lease)
    housekeeping.clean(store)


def _pull(store: Store, argument: str, config: RegistryConfig = NAMES) -> None:
    with contextlib.suppress(ModelNotFoundError):
        store.remove(argument)
    with RegistryClient(config) as client:
        pull(store, client, argument, lambda _event: None)


def _push(store: Store, argument: str) -> None:
    add(store, argument, WEIGHTS)
    with RegistryClient(NAMES) as client:
        push(store, client, argument, lambda _event: None)


VERBS: Mapping[str, Callable[[Store, str], None]] = {
    "tag": _tag,
    "rm": _rm,
    "gc": _gc,
    "pull": _pull,
    "ranged": lambda store, argument: _pull(store, argument, RANGED),
    "push": _push,
}


def once(store: Store, verb: str, argument: str) -> None:
    """One round; always possible, whatever an earlier one left."""
    VERBS[verb](store, argument)


def _pull_again(store: Store, name: str) -> None:
    with RegistryClient(RANGED) as client:
        pull(store, client, name, lambda _event: None)


def _push_as(store: Store, name: str, target: str) -> None:
    store.tag(name, target)
    with RegistryClient(NAMES) as client:
        push(store, client, target, lambda _event: None)


def _verify(store: Store) -> None:
    damages = verification.verify(store).damages
    assert damages == (), damages


_OPERATIONS: Mapping[str, Callable[[Store, str, str, str], object]] = {
    "add": lambda store, name, other, _target: add(store, name, f"{name} {other}".encode()),
    "tag": lambda store, name, other, _target: store.tag(name, other),
    "remove": lambda store, name, _other, _target: store.remove(name),
    "use": lambda store, name, _other, _target: _read_leased(store, name),
    "list": lambda store, _name, _other, _target: store.list(),
    "collect": lambda store, _name, _other, _target: store.collect(),
    "gc": lambda store, _name, _other, _target: housekeeping.clean(store),
    "purge": lambda store, _name, _other, _target: housekeeping.purge(store),
    "verify": lambda store, _name, _other, _target: _verify(store),
    "pull": lambda store, _name, _other, target: _pull_again(store, target),
    "push": lambda store, name, other, target: _push_as(store, name, f"{target}-{other}"),
    "remove pulled": lambda store, _name, _other, target: store.remove(target),
}


def do_random(store: Store, seed: str, target: str) -> None:
    """200 random operations; that a model is gone, because the other process took it, is fine."""
    numbers = random.Random(seed)
    for _ in range(N_OPERATIONS):
        name, other = (f"m{numbers.randrange(N_NAMES)}" for _ in range(2))
        operation = numbers.choice(sorted(_OPERATIONS))
        with contextlib.suppress(ModelNotFoundError):
            _OPERATIONS[operation](store, name, other, target)


def _read_leased(store: Store, name: str) -> None:
    model, lease = store.acquire(name)
    with lease:
        content = model.weight_paths[0].read_bytes()
        assert Digest.of(content) == model.manifest.layers[0].digest


def _main() -> None:
    store = Store(Path(sys.argv[1]), NAMES)
    verb, argument = sys.argv[2:]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if verb == "random":
        do_random(store, *argument.split())
        return
    while True:
        once(store, verb, argument)


if __name__ == "__main__":
    _main()
