"""registry.pace: when other connections join."""

from support.clock import FakeClock

from pyrunner.registry.pace import ENOUGH_BYTES_PER_S, WINDOW_S, Pace


def test_nothing_is_slow_before_a_window_has_ended(clock: FakeClock):
    pace = Pace(0, clock)
    clock.advance(WINDOW_S / 2)
    assert not pace.is_slow(0)


def test_fast_connection_stays_alone_window_after_window(clock: FakeClock):
    pace = Pace(0, clock)
    for i in range(1, 5):
        clock.advance(2 * WINDOW_S)
        assert not pace.is_slow(round(i * 2 * WINDOW_S * ENOUGH_BYTES_PER_S) + i)


def test_connection_that_becomes_slow_is_noticed(clock: FakeClock):
    pace = Pace(7, clock)
    clock.advance(2 * WINDOW_S)
    assert not pace.is_slow(7 + ENOUGH_BYTES_PER_S)
    clock.advance(2 * WINDOW_S)
    assert pace.is_slow(8 + ENOUGH_BYTES_PER_S)


def test_connection_that_brings_nothing_is_slow(clock: FakeClock):
    pace = Pace(0, clock)
    clock.advance(2 * WINDOW_S)
    assert pace.is_slow(0)
