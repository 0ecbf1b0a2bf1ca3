"""Cancels interrupt the work they make useless, in whatever order the threads come."""

import pytest

from pyrunner.engine.urgency import Urgency


@pytest.fixture
def interrupts() -> list[str]:
    return []


@pytest.fixture
def urgency(interrupts: list[str]) -> Urgency:
    return Urgency(lambda: interrupts.append("now"))


def test_cancel_of_a_request_at_work_interrupts_it(urgency: Urgency, interrupts: list[str]) -> None:
    with urgency.working({1, 2}):
        urgency.hurry(2)
    assert interrupts == ["now"]


def test_cancel_of_another_request_lets_it_go_on(urgency: Urgency, interrupts: list[str]) -> None:
    with urgency.working({1}):
        urgency.hurry(2)
    urgency.hurry(1)  # between two works
    assert interrupts == []


def test_cancel_that_came_before_the_work_interrupts_it(
    urgency: Urgency, interrupts: list[str]
) -> None:
    urgency.hurry(1)
    with urgency.working({1}) as is_useless:
        assert is_useless
    assert interrupts == ["now"]


def test_cancel_that_is_carried_out_interrupts_nothing_any_more(
    urgency: Urgency, interrupts: list[str]
) -> None:
    urgency.hurry(1)
    urgency.settle(1)
    urgency.settle(1)
    with urgency.working({1}) as is_useless:
        assert not is_useless
    assert interrupts == []


def test_work_that_fails_is_over(urgency: Urgency, interrupts: list[str]) -> None:
    with pytest.raises(KeyError), urgency.working({1}):
        raise KeyError
    urgency.hurry(1)
    assert interrupts == []
