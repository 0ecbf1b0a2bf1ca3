"""A request that has no lane yet. Pure: no native calls, no clock.

Requests that arrive together often share a beginning. The first one reads it; the others wait for
that, without a lane, and start from its cells.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pyrunner.engine.prefix_index import n_shared
from pyrunner.engine.request import GenerationRequest
from pyrunner.engine.sequence import Sequence

MIN_FOLLOWED = 64
"""Tokens that have to be saved for a request to wait for another's reading."""


@dataclass(slots=True)
class Waiting:
    """A request and whom it waits for."""

    request: GenerationRequest
    submitted_at_s: float
    leader: Sequence | None = None
    """Reads what this request needs, too."""
    n_shared: int = 0
    """Tokens it has in common with the leader."""

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

    def choose_leader(self, reading: Iterable[Sequence], n_cached: int) -> bool:
        """Wait for the sequence that will have read most of this prompt.

        Args:
            reading: Sequences whose prompts are not read to their ends.
            n_cached: Tokens that this request would not have to read if it started now.

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
            if shared > max(best, each.n_read):
                self.leader, self.n_shared, best = each, shared, shared
        return self.leader is not None
