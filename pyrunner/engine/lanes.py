"""Which request sits in which lane, and how long lanes are. Pure: no native calls, no clock.

Running lanes should be 0..k-1: a hole splits llama.cpp's batch, and each part is a pass over all
weights. A hole is filled by the next request, or by moving the last lane into it.
"""

import heapq
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pyrunner.errors import InvariantError
from pyrunner.gguf import CELL_PADDING
from pyrunner.types import LaneLayout

WIDEN_PAUSE_S = 60.0
"""After an attempt at more lanes without memory for them, which parks all and fills them again."""


class Move(NamedTuple):
    """A lane to be moved to close a hole."""

    source: int
    target: int


class Layouts:
    """The layouts that the cells of the lanes can have: half as many lanes, half of those, ...

    Args:
        usual: What was chosen.
        n_ctx_model: Tokens that a lane may have for the model's sake, if `usual` has not more.
    """

    def __init__(self, usual: LaneLayout, n_ctx_model: int) -> None:
        self.usual = usual
        self._n_cells = usual.n_lanes * usual.n_ctx
        self.n_ctx_max = max(usual.n_ctx, min(n_ctx_model, self._n_cells))
        """Tokens that a sequence can have in the layout with the longest lanes."""

    def wanted(self, now: LaneLayout, claims: Iterable[int]) -> LaneLayout:
        """The one that should be, which is as it is as long as that does.

        It has a lane for each of the first claims, up to that which cannot have one beside those
        before it; that one has to wait, and those after it take the lanes that are over.

        Args:
            now: The layout there is.
            claims: Tokens that each sequence needs its lane to hold, who goes first first.
        """
        n_served, n_longest = 0, 1
        for n_tokens in claims:
            n_longer = max(n_longest, n_tokens)
            if self.fitting(n_longer).n_lanes <= n_served:
                break
            n_served, n_longest = n_served + 1, n_longer
        does = n_served <= now.n_lanes and n_longest <= now.n_ctx
        return now if does else self.fitting(n_longest)

    def fitting(self, n_tokens: int) -> LaneLayout:
        """The one with most lanes, in which a sequence of 1..`n_ctx_max` tokens fits."""
        layout = self.usual
        while layout.n_ctx < n_tokens:
            if layout.n_lanes == 1:
                raise InvariantError(f"no lane holds {n_tokens} tokens")
            n_lanes = layout.n_lanes // 2
            n_most = -(-self.n_ctx_max // CELL_PADDING)
            n_blocks = min(self._n_cells // n_lanes // CELL_PADDING, n_most)
            layout = LaneLayout(n_lanes, n_blocks * CELL_PADDING)
        return layout


class LaneLedger:
    """Owns the assignment of requests to the lanes 0..n_lanes - 1."""

    def __init__(self, n_lanes: int) -> None:
        self._request_of: dict[int, int] = {}
        self._free = list(range(n_lanes))
        self._n_lanes = n_lanes

    @property
    def n_free(self) -> int:
        """Lanes without a request."""
        return len(self._free)

    @property
    def lowest_free(self) -> int:
        """The lane that `take` gives next; the caller checked `n_free`."""
        return self._free[0]

    def take(self, request_id: int) -> int:
        """Give the lowest free lane to a request; the caller checked `n_free`."""
        if not self._free:
            raise InvariantError("no lane is free")
        lane = heapq.heappop(self._free)
        self._request_of[lane] = request_id
        return lane

    def release(self, lane: int) -> None:
        """The request in `lane` is over."""
        if self._request_of.pop(lane, None) is None:
            raise InvariantError(f"lane {lane} is not taken")
        heapq.heappush(self._free, lane)

    def next_move(self) -> Move | None:
        """The move that closes the lowest hole, or None when there is none."""
        if not self._request_of:
            return None
        last = max(self._request_of)
        return Move(last, self._free[0]) if self._free and self._free[0] < last else None

    def moved(self, move: Move) -> int:
        """Record that a move was made; returns the request that moved."""
        request_id = self._request_of.pop(move.source)
        if heapq.heappop(self._free) != move.target:
            raise InvariantError(f"lane {move.target} was not the lowest hole")
        self._request_of[move.target] = request_id
        heapq.heappush(self._free, move.source)
        return request_id

    def check(self, running: Mapping[int, int] | None = None) -> None:
        """Raise InvariantError unless every lane is either free or taken, once.

        Args:
            running: Which requests run, by lane, as somebody else knows it: exactly these must
                have their lanes.
        """
        lanes = sorted([*self._free, *self._request_of])
        if lanes != list(range(self._n_lanes)):
            raise InvariantError(f"lanes are {lanes}")
        if len(set(self._request_of.values())) != len(self._request_of):
            raise InvariantError("a request has two lanes")
        if running is not None and running != self._request_of:
            raise InvariantError(f"{self._request_of} have lanes, but {running} run")
