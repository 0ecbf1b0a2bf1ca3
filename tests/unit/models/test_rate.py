import pytest
from support.clock import FakeClock

from pyrunner.models.rate import Rate


def test_rate_is_unknown_at_first_and_then_that_of_the_last_seconds():
    clock = FakeClock()
    rate = Rate(clock)
    assert rate.at(0) == 0
    clock.advance(0.1)
    assert rate.at(500) == 0
    clock.advance(0.9)
    assert rate.at(1000) == pytest.approx(1000)
    clock.advance(4)
    rate.at(1000)
    clock.advance(4)
    assert rate.at(9000) == pytest.approx(2000)


def test_transfer_that_starts_again_has_no_negative_rate():
    clock = FakeClock()
    rate = Rate(clock)
    rate.at(1000)
    clock.advance(1)
    assert rate.at(0) == 0
