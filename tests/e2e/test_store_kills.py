"""``kill -9`` at random moments, and two processes that do what they like to one store."""

import contextlib
import os
import random
import subprocess
import sys

import pytest
from support import store_work
from support.artifacts import add
from support.scripted_registry import scripted_registry
from support.store_work import WEIGHTS
from support.tree import ROOT

from pyrunner.models import housekeeping, verification
from pyrunner.models.store import Store

pytestmark = pytest.mark.slow

N_KILLS_PER_VERB = 20
"""Of each of six verbs: 120 moments."""
_LONGEST_S = {"tag": 0.06, "rm": 0.08, "gc": 0.06, "pull": 0.12, "ranged": 0.15, "push": 0.12}
"""About two rounds of each verb on an idle machine; every moment of a round can be hit."""


@pytest.fixture
def target():
    """A reference in a registry on loopback that has the model."""
    with scripted_registry() as registry:
        registry.hold("a/b:1", WEIGHTS)
        yield f"{registry.host}/a/b:1"


def _start(store: Store, verb: str, argument: str) -> "subprocess.Popen[bytes]":
    tests = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, store_work.__file__, store.path, verb, argument],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": tests},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("seed", range(N_KILLS_PER_VERB))
@pytest.mark.parametrize("verb", store_work.VERBS)
def test_store_is_clean_after_kill_9_and_the_operation_then_completes(store, target, verb, seed):
    kept = add(store, "other", b"another model")
    after_s = random.Random(f"{verb} {seed}").uniform(0.0, _LONGEST_S[verb])
    with _start(store, verb, target) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        assert process.poll() is None
        process.kill()
    assert verification.verify(store).damages == ()
    assert store.find("other") == kept
    store_work.once(store, verb, target)
    assert verification.verify(store).damages == ()
    assert store.find("other") == kept
    housekeeping.clean(store)
    assert verification.verify(store).unneeded_bytes == 0


@pytest.mark.parametrize("seed", range(2))
def test_two_processes_doing_200_random_operations_leave_a_clean_store(store, target, seed):
    with (
        _start(store, "random", f"{seed}-one {target}") as one,
        _start(store, "random", f"{seed}-two {target}") as two,
    ):
        assert [one.wait(120), two.wait(120)] == [0, 0]
    assert verification.verify(store).damages == ()
    assert all(store.blobs.has(blob) for each in store.list() for blob in each.manifest.blobs)
    housekeeping.clean(store)
    assert verification.verify(store).unneeded_bytes == 0
    assert list((store.path / ".pyrunner" / "leases").iterdir()) == []
