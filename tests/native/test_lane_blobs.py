"""What parked states of lanes took goes back to the system, whatever lies beside it."""

import os
import sys

import pytest
from support.own_memory import anonymous_bytes

from pyrunner._native import LaneState

pytestmark = pytest.mark.native

MIB = 2**20


def _state(n_bytes: int) -> LaneState:
    state = LaneState.blank(1, n_bytes, 1)
    view = state.view(is_writable=True)
    view[:] = b"\x01" * n_bytes
    return state


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: elsewhere blobs share pages")
@pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""),
    reason="the address sanitizer keeps what was freed for a while, and blobs are in its heap",
)
def test_a_heap_of_states_leaves_no_holes() -> None:
    # What glibc takes from the heap ever after; more than 32 MiB with its header would not count.
    _state(31 * MIB)
    before = anonymous_bytes()
    states = [_state(MIB + i * 4096) for i in range(64)]
    assert anonymous_bytes() - before >= 64 * MIB
    # Every eighth stays, and so would everything between them in a heap.
    kept = states[7::8]
    states.clear()
    assert anonymous_bytes() - before < 16 * MIB
    assert all(bytes(each.view()[:2]) == b"\x01\x01" for each in kept)


@pytest.mark.parametrize("n_bytes", [0, 1, 4096, 128 * 1024 - 1, 128 * 1024, 3 * MIB + 1])
def test_a_state_of_any_size_holds_its_bytes(n_bytes: int) -> None:
    state = _state(n_bytes)
    assert state.n_bytes == n_bytes
    assert bytes(state.view()) == b"\x01" * n_bytes
