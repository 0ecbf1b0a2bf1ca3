"""Whose turn it is where requests use different adapters. Pure: no native calls, no clock.

llama.cpp computes a batch with one adapter, so a step has rows of one adapter only. Adapters take
turns in two places: step by step, so that a sequence gets as many tokens as any other, whichever
adapter it has; and in the queue for lanes, so that nobody waits behind all that came for another
adapter. Requests without one are those of the adapter "".
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass


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

    def forget(self, adapter: str) -> None:
        """It will not want a step any more."""
        self._last.pop(adapter, None)


@dataclass(slots=True, eq=False)
class Place:
    """A request's in the queue for lanes; of one priority the smallest `order` is first."""

    adapter: str = ""
    priority: int = 0
    since: int = 0
    """The round that was served when it came."""
    i_round: int = 0
    """Its own, which only `QueuePlaces` changes."""
    number: int = 0
    """Of all requests, in the order they came."""

    @property
    def order(self) -> tuple[int, int]:
        """Rounds come one after the other; of one round, who came first is first."""
        return self.i_round, self.number


class QueuePlaces:
    """Gives out places: in each round of the queue one to each adapter.

    That is start-time fair queueing (Goyal, Vin and Cheng, 1996) for requests that count alike.
    With one adapter, or none, it is the order in which they came.
    """

    def __init__(self) -> None:
        self._n_joined = 0
        self._now: dict[int, int] = defaultdict(int)  # by priority, the round that is served
        self._served: dict[tuple[int, str], int] = defaultdict(int)  # round of the last that began
        self._waiting: dict[tuple[int, str], list[Place]] = defaultdict(list)  # as they came
        self._gaps: set[tuple[int, str]] = set()  # whose rounds are too far

    def join(self, adapter: str = "", priority: int = 0) -> Place:
        """The place of a request that comes."""
        self._n_joined += 1
        place = Place(adapter, priority, self._now[priority], number=self._n_joined)
        waiting = self._waiting[priority, adapter]
        last = waiting[-1].i_round if waiting else self._served[priority, adapter]
        place.i_round = max(place.since, last) + 1
        waiting.append(place)
        return place

    def start(self, place: Place) -> None:
        """A request got a lane, its first or another one, be it its turn or not."""
        key = place.priority, place.adapter
        if not self._take(key, place):
            return
        self._served[key] = max(self._served[key], place.i_round)
        # The round that is served is that of the first who wait: others may start before them.
        firsts = (
            queue[0].i_round
            for (priority, _), queue in self._waiting.items()
            if priority == place.priority
        )
        served = min(place.i_round, min(firsts, default=place.i_round))
        self._now[place.priority] = max(self._now[place.priority], served)
        self._forget(key)

    def leave(self, place: Place) -> None:
        """A request will not have a lane, or not another one."""
        key = place.priority, place.adapter
        if self._take(key, place):
            self._gaps.add(key)

    def close_gaps(self) -> None:
        """Let those who came behind others that left have the rounds of these, or stay."""
        for key in self._gaps:
            last = self._served[key]
            for place in self._waiting.get(key, ()):
                last = max(place.since, last) + 1
                place.i_round = min(place.i_round, last)
            self._forget(key)
        self._gaps.clear()

    def _take(self, key: tuple[int, str], place: Place) -> bool:
        """Out of those who wait; False where it is none of them."""
        waiting = self._waiting.get(key, [])
        if place not in waiting:
            return False
        waiting.remove(place)
        if not waiting:
            del self._waiting[key]
        return True

    def _forget(self, key: tuple[int, str]) -> None:
        """What says nothing any more, because whoever comes is behind it in any case."""
        if key not in self._waiting and self._served[key] <= self._now[key[0]]:
            del self._served[key]
