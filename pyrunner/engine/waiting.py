"""A request that has no lane. No native calls, no clock.

Requests that arrive together often share a beginning. The first one reads it; the others wait for
that, without a lane, and start from its cells.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyrunner.engine.adapter_turns import Place
from pyrunner.engine.prefix_index import n_shared
from pyrunner.engine.request import GenerationRequest
from pyrunner.engine.sequence import Sequence
from pyrunner.engine.snapshots import last_place

if TYPE_CHECKING:
    from pyrunner._native import OpenLane

MIN_FOLLOWED = 64
"""Tokens that have to be saved for a request to wait for another's reading."""


@dataclass(frozen=True, slots=True)
class Preempted:
    """A sequence that gave its lane up, and what it left there."""

    sequence: Sequence
    voice: "OpenLane"
    """How its tokens are chosen and become text."""
    holder: int
    """Its cells, in the prefix cache."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A request and whom it waits for."""

    request: GenerationRequest
    submitted_at_s: float
    place: Place = field(default_factory=Place)
    """Its own, in the queue for lanes."""
    preempted: Preempted | None = None
    """It was running before."""
    leader: Sequence | None = None
    """Reads what this request needs, too."""
    n_shared: int = 0
    """Tokens it has in common with the leader."""

    @property
    def n_cells(self) -> int:
        """Tokens that a lane must hold for it to go on by one token."""
        had = self.preempted
        return 1 + len(self.request.tokens) if had is None else had.sequence.n_cells

    def sequence(self, lane: int, n_ctx: int, started_at_s: float, n_cached: int = 0) -> Sequence:
        """What the request becomes with a lane, or without one (-1) where it ends before."""
        return Sequence(
            request=self.request,
            lane=lane,
            n_ctx=n_ctx,
            place=self.place,
            submitted_at_s=self.submitted_at_s,
            started_at_s=started_at_s,
            n_cached=n_cached,
        )

    def follows(self, reading: Collection[Sequence]) -> bool:
        """Whether its leader is still at what both need.

        Args:
            reading: Sequences whose prompts are not read to their ends.
        """
        leader = self.leader
        if leader is not None and leader in reading and leader.n_read < self.n_shared:
            return True
        self.leader = None
        return False

    def choose_leader(self, reading: Iterable[Sequence], n_cached: int, n_block: int = 1) -> bool:
        """Wait for the sequence that will have read most of this prompt.

        Args:
            reading: Sequences whose prompts are not read to their ends.
            n_cached: Tokens that this request would not have to read if it started now.
            n_block: Above 1, it can start only from `snapshots` of what another reads.

        Returns:
            Whether there is one that saves enough.
        """
        request = self.request
        best = n_cached + MIN_FOLLOWED - 1
        for each in reading:
            if each.request.salt != request.salt:
                continue
            # One token is always left to read.
            shared = min(n_shared(each.prompt, request.tokens), len(request.tokens) - 1)
            if n_block > 1:
                shared = last_place(shared, len(each.prompt))
            if shared > max(best, each.n_read):
                self.leader, self.n_shared, best = each, shared, shared
        return self.leader is not None


Claim = Waiting | Sequence
"""Who has a lane or would take one."""


def right(claim: Claim) -> tuple[int, tuple[int, int]]:
    """Whoever has the smallest has the first right to a lane: the highest priority, then places."""
    return -claim.request.priority, claim.place.order
