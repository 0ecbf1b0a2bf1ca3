"""Whose prompt is read next, and by when every prompt is read."""

import random
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from pyrunner.engine.reading_order import ReadingOrder


def test_equal_prompts_are_read_in_the_order_they_came() -> None:
    order = ReadingOrder()
    first = order.join(256)
    order.read(100)
    second = order.join(256)
    order.read(100)
    assert first < second < order.join(256)


def test_a_short_prompt_goes_before_the_rest_of_a_long_one() -> None:
    order = ReadingOrder()
    long = order.join(7000)
    order.read(512)
    assert order.join(30) < long


def test_a_long_prompt_goes_before_short_ones_that_come_after_its_share_was_read() -> None:
    order = ReadingOrder()
    long = order.join(1000)
    for _ in range(100):
        order.join(100)
        order.read(100)
    assert long < order.join(100)


def test_when_nobody_reads_the_past_is_forgotten() -> None:
    order = ReadingOrder()
    order.join(500)
    order.read(500)
    order.clear()
    assert order.join(10) == 10


@dataclass
class _Turns:
    """Prompts that are read by turns, exactly, as the promise has it."""

    left: dict[int, Fraction] = field(default_factory=dict)
    n_read: Fraction = Fraction(0)
    done_at: dict[int, Fraction] = field(default_factory=dict)

    def read(self, n_tokens: int) -> None:
        rest = Fraction(n_tokens)
        while rest and self.left:
            share = min(*self.left.values(), rest / len(self.left))
            rest -= share * len(self.left)
            self.n_read += share * len(self.left)
            for prompt in list(self.left):
                self.left[prompt] -= share
                if not self.left[prompt]:
                    del self.left[prompt]
                    self.done_at[prompt] = self.n_read


@pytest.mark.parametrize("seed", range(20))
def test_no_prompt_is_read_later_than_if_all_took_turns(seed: int) -> None:
    rng = random.Random(seed)
    order, turns = ReadingOrder(), _Turns()
    left: dict[int, int] = {}
    due: dict[int, float] = {}
    done_at: dict[int, int] = {}
    n_read = 0
    for prompt in range(200):
        left[prompt] = turns_left = rng.choice((1, 30, 200, rng.randrange(1, 3000)))
        turns.left[prompt] = Fraction(turns_left)
        due[prompt] = order.join(turns_left)
        for _ in range(rng.choice((0, 0, 1, 2, 5)) if prompt < 199 else 10**6):
            if not left:
                break
            chosen = min(left, key=lambda each: (due[each], each))
            n_tokens = min(left[chosen], 128)
            left[chosen] -= n_tokens
            n_read += n_tokens
            order.read(n_tokens)
            turns.read(n_tokens)
            if not left[chosen]:
                del left[chosen]
                done_at[chosen] = n_read
    assert sorted(done_at) == sorted(turns.done_at) == list(range(200))
    late = {each: (done_at[each], turns.done_at[each]) for each in done_at}
    assert all(ours <= theirs for ours, theirs in late.values()), f"seed {seed}: {late}"
