"""Several pulls of one model: one transfer, which whoever is left finishes."""

import contextlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import pull_process
from support.artifacts import described
from support.pull_process import RANGED
from support.recording import GaveUp, ImpatientClient, Told
from support.scripted_registry import Fault, Handler, ScriptedRegistry, scripted_registry
from support.tree import ROOT
from support.waits import until

from pyrunner.models.store import Store
from pyrunner.models.transfer import pull
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest

MIB = 1024 * 1024
SMALL = random.Random(1).randbytes(2 * MIB)
"""Comes over one connection."""
LARGE = random.Random(2).randbytes(9 * MIB + 123)
"""Comes in ranges."""
HALF = MIB


@pytest.fixture
def registry():
    with scripted_registry() as registry:
        for tag, weights in (("small", SMALL), ("large", LARGE)):
            registry.hold(f"a/b:{tag}", weights)
        yield registry


@pytest.fixture
def client():
    with ImpatientClient(config=RANGED) as client:
        yield client


@pytest.fixture
def gate():
    """What a held answer waits for."""
    gate = threading.Event()
    yield gate
    gate.set()


def _held_after(n_bytes: int, gate: threading.Event) -> Fault:
    """Send so much of what was asked for, and the rest when the gate opens."""

    def answer(handler: Handler) -> None:
        content = handler.blob()
        asked = handler.headers.get("Range", f"bytes=0-{len(content) - 1}")
        first, last = (int(each or len(content) - 1) for each in asked[6:].split("-"))
        handler.send_response(206 if "Range" in handler.headers else 200)
        handler.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        handler.send_header("Content-Length", str(last + 1 - first))
        handler.end_headers()
        with contextlib.suppress(OSError):
            handler.wfile.write(content[first : first + n_bytes])
            gate.wait(60)
            handler.wfile.write(content[first + n_bytes : last + 1])

    return answer


def _asked(registry: ScriptedRegistry, content: bytes) -> list[str | None]:
    return [each.get("Range") for each in registry.headers_of("GET", Digest.of(content))]


def _n_here(store: Store, content: bytes) -> int:
    return store.blobs.bytes_here(described(content))


@contextlib.contextmanager
def _process(store: Store, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, pull_process.__file__, store.path, name],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _model(store: Store, client: RegistryClient, name: str, told: Told) -> bytes:
    return pull(store, client, name, told).model.weight_paths[0].read_bytes()


def test_two_pulls_are_one_transfer_and_both_tell_its_progress(store, registry, client, gate):
    name = f"{registry.host}/a/b:small"
    registry.faults[Digest.of(SMALL)] = [_held_after(HALF, gate)]
    first, second = Told(), Told()
    with ThreadPoolExecutor(2) as executor:
        one = executor.submit(_model, store, client, name, first)
        until(lambda: _n_here(store, SMALL) == HALF)
        two = executor.submit(_model, store, client, name, second)
        until(lambda: HALF in second.currents(Digest.of(SMALL)))
        gate.set()
        assert one.result(30) == two.result(30) == SMALL
    assert _asked(registry, SMALL) == [None]
    assert second.currents(Digest.of(SMALL))[-1] == len(SMALL)
    assert second.messages == ["Model pulled successfully"]


def test_pull_takes_over_when_the_process_before_it_is_killed(store, registry, client, gate):
    name = f"{registry.host}/a/b:small"
    registry.faults[Digest.of(SMALL)] = [_held_after(HALF, gate)]
    told = Told()
    with _process(store, name) as process, ThreadPoolExecutor(1) as executor:
        until(lambda: _n_here(store, SMALL) == HALF)
        two = executor.submit(_model, store, client, name, told)
        until(lambda: HALF in told.currents(Digest.of(SMALL)))
        process.kill()
        assert two.result(30) == SMALL
    assert _asked(registry, SMALL) == [None, f"bytes={HALF}-"]


def test_pull_takes_over_when_the_one_before_it_gives_up_on_a_silent_registry(
    store, registry, client, gate
):
    name = f"{registry.host}/a/b:small"
    registry.faults[Digest.of(SMALL)] = [_held_after(HALF, gate)]
    has_enough = threading.Event()

    def give_up(_event):
        if has_enough.is_set():
            raise GaveUp

    with ThreadPoolExecutor(2) as executor:
        one = executor.submit(pull, store, client, name, give_up)
        until(lambda: _n_here(store, SMALL) == HALF)
        told = Told()
        two = executor.submit(_model, store, client, name, told)
        until(lambda: HALF in told.currents(Digest.of(SMALL)))
        has_enough.set()
        assert two.result(30) == SMALL  # long before `timeout_s` of the first
        with pytest.raises(GaveUp):
            one.result(30)
    assert not gate.is_set()


def test_waiting_pull_can_be_given_up(store, registry, client, gate):
    name = f"{registry.host}/a/b:small"
    registry.faults[Digest.of(SMALL)] = [_held_after(HALF, gate)]

    def give_up(event):
        if event.layer_current == HALF:
            raise GaveUp

    with ThreadPoolExecutor(1) as executor:
        one = executor.submit(_model, store, client, name, Told())
        until(lambda: _n_here(store, SMALL) == HALF)
        with pytest.raises(GaveUp):
            pull(store, client, name, give_up)
        gate.set()
        assert one.result(30) == SMALL


def test_killed_pull_in_ranges_loses_less_than_a_mib_per_range(store, registry, client, gate):
    name = f"{registry.host}/a/b:large"
    held = _held_after(MIB + MIB // 2, gate)
    registry.faults[Digest.of(LARGE)] = [Handler._serve, *[held] * 3]
    with _process(store, name) as process:
        until(lambda: _n_here(store, LARGE) == 5 * MIB)  # 2 and thrice 1 of 6.5 that were sent
        process.kill()
    registry.requests.clear()
    assert _model(store, client, name, Told()) == LARGE
    spans = [each["Range"][6:].split("-") for each in registry.headers_of("GET", "blobs")]
    asked = sum(int(last or len(LARGE) - 1) + 1 - int(first) for first, last in spans)
    assert asked == len(LARGE) - 5 * MIB
