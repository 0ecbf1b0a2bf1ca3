"""runtime.policy: who leaves memory for whom."""

import math
import random
from typing import Any

import pytest

from pyrunner.errors import MemoryBudgetError, ModelTooLargeError
from pyrunner.runtime.policy import Evict, Fits, Resident, Wait, admit


def _resident(socket: str, size_bytes: int = 10, **given: Any) -> Resident:
    usual: dict[str, Any] = {"last_used": 0.0, "is_busy": False, "keep_alive_s": 300.0}
    return Resident(socket=socket, size_bytes=size_bytes, **(usual | given))


def test_admit_empty_machine_fits():
    assert admit(100, 100, []) == Fits()


def test_admit_model_above_budget_is_too_large():
    with pytest.raises(ModelTooLargeError) as caught:
        admit(101, 100, [])
    assert caught.value.facts == {"needed_bytes": 101, "budget_bytes": 100}


def test_admit_short_of_memory_evicts_least_recently_used():
    residents = [_resident("new", 40, last_used=9.0), _resident("old", 40, last_used=1.0)]
    assert admit(40, 100, residents) == Evict(("old",))


def test_admit_needs_two_evicts_both_in_order():
    residents = [_resident("b", 40, last_used=2.0), _resident("a", 40, last_used=1.0)]
    assert admit(90, 100, residents) == Evict(("a", "b"))


def test_admit_large_victim_suffices_spares_the_small_one():
    residents = [_resident("small", 5, last_used=1.0), _resident("large", 90, last_used=2.0)]
    assert admit(50, 100, residents) == Evict(("large",))


@pytest.mark.parametrize(
    "kept",
    [_resident("a", 80, is_busy=True), _resident("a", 80, keep_alive_s=math.inf)],
    ids=["in flight", "kept forever"],
)
def test_admit_only_unevictable_left_is_retryable(kept):
    with pytest.raises(MemoryBudgetError) as caught:
        admit(50, 100, [kept])
    assert caught.value.retryable
    assert caught.value.facts["free_bytes"] == 20


def test_admit_enough_is_leaving_waits_instead_of_evicting():
    residents = [_resident("gone", 60, is_leaving=True), _resident("idle", 40)]
    assert admit(60, 100, residents) == Wait()


def test_admit_partly_leaving_evicts_only_the_rest():
    residents = [
        _resident("gone", 30, is_leaving=True),
        _resident("a", 30, last_used=1.0),
        _resident("b", 40, last_used=2.0),
    ]
    assert admit(60, 100, residents) == Evict(("a",))


@pytest.mark.parametrize("seed", range(20))
def test_admit_random_residents_keeps_every_promise(seed):
    draw = random.Random(seed)
    for _ in range(300):
        residents = [
            _resident(
                f"w{i}",
                draw.randint(0, 40),
                last_used=draw.random(),
                is_busy=draw.random() < 0.3,
                keep_alive_s=math.inf if draw.random() < 0.2 else 300.0,
                is_leaving=draw.random() < 0.2,
            )
            for i in range(draw.randint(0, 8))
        ]
        _check(draw.randint(0, 120), 100, residents)


def _check(needed: int, budget: int, residents: list[Resident]) -> None:
    by_socket = {each.socket: each for each in residents}
    used = sum(each.size_bytes for each in residents)
    coming = sum(each.size_bytes for each in residents if each.is_leaving)
    evictable = sum(each.size_bytes for each in residents if each.is_evictable)
    try:
        verdict = admit(needed, budget, residents)
    except ModelTooLargeError:
        assert needed > budget
        return
    except MemoryBudgetError:
        assert used - coming - evictable + needed > budget
        return
    if isinstance(verdict, Fits):
        assert used + needed <= budget
    elif isinstance(verdict, Wait):
        assert used - coming + needed <= budget < used + needed
    else:
        victims = [by_socket[socket] for socket in verdict.sockets]
        assert all(each.is_evictable for each in victims)
        freed = sum(each.size_bytes for each in victims)
        assert used - coming - freed + needed <= budget
        # Nobody leaves in vain: without any one of them it would not fit.
        assert all(used - coming - freed + each.size_bytes + needed > budget for each in victims)
        assert [each.last_used for each in victims] == sorted(each.last_used for each in victims)
