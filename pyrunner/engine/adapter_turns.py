"""Whose turn it is where requests use different adapters. Pure: no native calls, no clock.

llama.cpp computes a batch with one adapter, so a step has rows of one adapter only. Adapters take
turns in two places: step by step, so that a sequence gets as many tokens as any other, whichever
adapter it has; and in the queue for lanes, so that nobody waits behind all that came for another
adapter. Requests without one are those of the adapter "".
"""

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple


class StepTurns:
    """Which adapter's step is next: that of those with something to do which had none longest."""

    def __init__(self) -> None:
        self._n_steps = 0
        self._last: dict[str, int] = {}  # step of each adapter

    def next(self, wanting: Collection[str]) -> str:
        """Choose one of the adapters with something to do, at least one; the next step is its own.

        Whoever goes on wanting one has it after at most one of each other adapter.
        """
        chosen = min(wanting, key=lambda adapter: (self._last.get(adapter, 0), adapter))
        self._n_steps += 1
        self._last[chosen] = self._n_steps
        return chosen


class Place(NamedTuple):
    """In the queue for lanes; of one priority the smallest is first."""

    round: int = 0
    number: int = 0
    """Of all requests, in the order they came."""


FIRST_PLACE = Place()
"""Before all that `QueuePlaces` gives out."""


class QueuePlaces:
    """Gives out places: in each round of the queue one to each adapter.

    That is start-time fair queueing (Goyal, Vin and Cheng, 1996) for requests that count alike.
    With one adapter, or none, it is the order in which they came.
    """

    def __init__(self) -> None:
        self._n_joined = 0
        self._now: dict[int, int] = defaultdict(int)  # by priority, the round that is served
        self._last: dict[tuple[int, str], int] = {}  # round of the last that came

    def join(self, adapter: str, priority: int = 0) -> Place:
        """The place of a request that comes."""
        self._n_joined += 1
        key = priority, adapter
        self._last[key] = max(self._now[priority], self._last.get(key, 0)) + 1
        return Place(self._last[key], self._n_joined)

    def start(self, place: Place, priority: int = 0) -> None:
        """A request got a lane: who comes from now on is behind its round."""
        self._now[priority] = max(self._now[priority], place.round)
