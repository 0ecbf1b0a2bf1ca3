"""worker.life: when a worker leaves, by an injected clock."""

import math
import random
from typing import Any

import pytest

from pyrunner.worker.life import HANDOVER_S, Life, Verdict


def _life(**given: Any) -> Life:
    usual: dict[str, Any] = {
        "keep_alive_s": 300.0,
        "orphan_grace_s": 10.0,
        "drain_s": 20.0,
        "now_s": 0.0,
    }
    return Life(**(usual | given))


def _kept(**given: Any) -> Life:
    made = _life(**given)
    made.keeper_joined()
    made.loaded(0.0)
    return made


def test_verdict_idle_for_keep_alive_drains():
    worker = _kept()
    assert worker.due_s() == 300.0
    assert worker.verdict(299.9)[0] is Verdict.STAY
    assert worker.verdict(300.0) == (Verdict.DRAIN, "idle for 300 s")


def test_verdict_loading_is_never_idle():
    worker = _life()
    worker.keeper_joined()
    assert worker.due_s() == math.inf
    assert worker.verdict(1e9)[0] is Verdict.STAY


def test_verdict_request_in_flight_stops_the_idle_clock():
    worker = _kept(keep_alive_s=1.0)
    worker.request_started(0.5)
    assert worker.verdict(1000.0)[0] is Verdict.STAY
    worker.request_ended(1000.0)
    assert worker.due_s() == 1001.0


def test_verdict_keep_alive_zero_leaves_right_after_the_request():
    worker = _kept(keep_alive_s=0.0)
    worker.request_started(1.0)
    worker.request_ended(2.0)
    assert worker.verdict(2.0)[0] is Verdict.DRAIN


def test_verdict_keep_alive_zero_waits_for_the_request_it_was_loaded_for():
    worker = _kept(keep_alive_s=0.0)
    assert worker.verdict(HANDOVER_S - 0.1)[0] is Verdict.STAY
    assert worker.verdict(HANDOVER_S)[0] is Verdict.DRAIN


def test_verdict_kept_forever_stays():
    assert _kept(keep_alive_s=math.inf).verdict(1e9)[0] is Verdict.STAY


def test_verdict_no_keeper_drains_after_grace_even_with_requests():
    worker = _kept()
    worker.request_started(1.0)
    worker.keeper_left(2.0)
    assert worker.verdict(11.9)[0] is Verdict.STAY
    assert worker.verdict(12.0) == (Verdict.DRAIN, "no server for 10 s")


def test_verdict_never_kept_drains_after_grace_while_loading():
    assert _life().verdict(10.0)[0] is Verdict.DRAIN


def test_verdict_new_keeper_in_time_stays():
    worker = _kept()
    worker.keeper_left(2.0)
    worker.keeper_joined()
    assert worker.verdict(100.0)[0] is Verdict.STAY


def test_verdict_second_of_two_keepers_left_stays():
    worker = _kept()
    worker.keeper_joined()
    worker.keeper_left(2.0)
    assert worker.verdict(100.0)[0] is Verdict.STAY


def test_drain_exits_when_the_last_request_ended():
    worker = _kept()
    worker.request_started(1.0)
    worker.drain("unloaded", 2.0)
    assert worker.verdict(3.0)[0] is Verdict.STAY
    worker.request_ended(4.0)
    assert worker.verdict(4.0) == (Verdict.EXIT, "unloaded")


def test_drain_gives_requests_no_more_than_drain_s():
    worker = _kept()
    worker.request_started(1.0)
    worker.drain("SIGTERM", 2.0)
    worker.drain("again", 20.0)
    assert worker.due_s() == 22.0
    assert worker.verdict(22.0) == (Verdict.EXIT, "SIGTERM")


def test_told_ready_restarts_the_idle_clock():
    worker = _kept()
    worker.told_ready(299.0)
    assert worker.due_s() == 599.0


@pytest.mark.parametrize("seed", range(10))
def test_verdict_random_life_is_never_late_and_never_early(seed):
    draw = random.Random(seed)
    worker, now = _kept(keep_alive_s=5.0), 0.0
    for _ in range(500):
        now += draw.random()
        due, before = worker.due_s(), worker.n_requests
        is_due = worker.verdict(now)[0] is not Verdict.STAY
        assert is_due == (now >= due)
        assert not (is_due and before and worker.n_keepers)
        _live_on(worker, draw, now)


def _live_on(worker: Life, draw: random.Random, now_s: float) -> None:
    match draw.randrange(5):
        case 0:
            worker.request_started(now_s)
        case 1 if worker.n_requests:
            worker.request_ended(now_s)
        case 2:
            worker.keeper_joined()
        case 3 if worker.n_keepers:
            worker.keeper_left(now_s)
        case _:
            worker.told_ready(now_s)
