"""Who has to leave memory for a model to come in. Pure: no clock, no file, no process."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pyrunner.errors import MemoryBudgetError, ModelTooLargeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A worker as the policy sees it."""

    socket: str
    size_bytes: int
    last_used: float
    """Any clock, the same for all."""
    is_busy: bool
    """Has requests in flight, is loading, or did not say."""
    keep_alive_s: float
    """inf: somebody asked to keep it forever, and only unloading it by name overrules that."""
    is_leaving: bool = False
    """On its way out; its bytes come back without our doing."""

    @property
    def is_evictable(self) -> bool:
        """Whether a model that somebody waits for may take its place."""
        return not (self.is_busy or self.is_leaving or math.isinf(self.keep_alive_s))


@dataclass(frozen=True, slots=True)
class Fits:
    """Start it now."""


@dataclass(frozen=True, slots=True)
class Evict:
    """Ask these to leave, in this order, and decide again when they have."""

    sockets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Enough of memory is coming back already."""


Verdict = Fits | Evict | Wait


def admit(needed_bytes: int, budget_bytes: int, residents: Sequence[Resident]) -> Verdict:
    """Decide how a model of `needed_bytes` comes in.

    Idle workers leave in the order of their last use, and no more of them than needed: one that
    turns out to be superfluous because a later, larger victim suffices alone is spared.

    Raises:
        ModelTooLargeError: Not even alone.
        MemoryBudgetError: Not beside those that may not be evicted.
    """
    if needed_bytes > budget_bytes:
        raise ModelTooLargeError(needed_bytes=needed_bytes, budget_bytes=budget_bytes)
    free = budget_bytes - sum(each.size_bytes for each in residents)
    if needed_bytes <= free:
        return Fits()
    coming = sum(each.size_bytes for each in residents if each.is_leaving)
    missing = needed_bytes - free - coming
    if missing <= 0:
        return Wait()
    victims = _victims(missing, residents)
    if not victims:
        raise MemoryBudgetError(
            needed_bytes=needed_bytes, free_bytes=max(0, free), budget_bytes=budget_bytes
        )
    return Evict(victims)


def _victims(missing_bytes: int, residents: Sequence[Resident]) -> tuple[str, ...]:
    chosen: list[Resident] = []
    for each in sorted(residents, key=lambda each: (each.last_used, each.socket)):
        if missing_bytes <= 0:
            break
        if each.is_evictable:
            chosen.append(each)
            missing_bytes -= each.size_bytes
    if missing_bytes > 0:
        return ()
    needed: list[str] = []
    surplus = -missing_bytes
    # The most recently used of the chosen are the first to be spared.
    for each in reversed(chosen):
        if each.size_bytes <= surplus:
            surplus -= each.size_bytes
        else:
            needed.append(each.socket)
    return tuple(reversed(needed))
