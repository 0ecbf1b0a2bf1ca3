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


def test_prompts_that_left_have_no_share() -> None:
    order = ReadingOrder()
    long = order.join(1000)
    for _ in range(50):
        order.leave(order.join(10_000))
    for _ in range(100):
        order.join(100)
        order.read(100)
    assert long < order.join(100)


def test_of_equal_prompts_one_leaves() -> None:
    order = ReadingOrder()
    first, second = order.join(100), order.join(100)
    order.leave(first)
    order.read(50)
    assert order.join(10) == 60
    order.leave(second)
    order.leave(second)  # it is as if it had been read
    order.read(1)
    assert order.join(0) == 51


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


@pytest.mark.parametrize("leaves", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(20))
def test_no_prompt_is_read_later_than_if_all_took_turns(seed: int, leaves: float) -> None:
    rng = random.Random(seed)
    order, turns = ReadingOrder(), _Turns()
    left: dict[int, int] = {}
    due: dict[int, float] = {}
    done_at: dict[int, int] = {}
    had = dict.fromkeys(range(200), 0)
    n_read = n_wasted = 0
    for prompt in range(200):
        left[prompt] = turns_left = rng.choice((1, 30, 200, rng.randrange(1, 3000)))
        turns.left[prompt] = Fraction(turns_left)
        due[prompt] = order.join(turns_left)
        if rng.random() < leaves:
            gone = rng.choice(sorted(left))
            order.leave(due[gone])
            turns.left.pop(gone, None)
            n_wasted += had[gone]
            del left[gone], had[gone]
        for _ in range(rng.choice((0, 0, 1, 2, 5)) if prompt < 199 else 10**6):
            if not left:
                break
            chosen = min(left, key=lambda each: (due[each], each))
            n_tokens = min(left[chosen], 128)
            left[chosen] -= n_tokens
            had[chosen] += n_tokens
            n_read += n_tokens
            order.read(n_tokens)
            turns.read(n_tokens)
            if not left[chosen]:
                del left[chosen]
                done_at[chosen] = n_read
    assert sorted(done_at) == sorted(had)
    # With turns some may have been at it still, because those that left have had some of them.
    late = {each: (done_at[each], turns.done_at.get(each, n_read)) for each in done_at}
    # What was read of those that left is the only thing that others can have lost.
    in_time = [ours <= theirs + n_wasted for ours, theirs in late.values()]
    assert all(in_time), f"seed {seed}: {late}"
