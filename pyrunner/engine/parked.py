"""States of lanes in host memory, and what they may take. Pure: no native calls, no clock.

Those of prefixes are kept as long as the budget allows, the least valuable goes first. Those of
preempted sequences, which will go on from them, are never made to go; they take the place of the
others, and go beyond the budget if they have to.
"""

from collections.abc import Callable, Iterator
from typing import Generic

from pyrunner.engine.lane_state import S
from pyrunner.engine.prefix_index import PrefixIndex, require


class ParkedStates(Generic[S]):
    """Owns the parked states, by holder.

    Args:
        index: Says what is least valuable.
        budget_bytes: What all of them may take.
        forget: Called for each holder that has to go; it takes the state out.
        grows: Whether a state of twice the tokens takes about twice the bytes; else a longer one
            is taken to be no larger.
    """

    def __init__(
        self,
        index: PrefixIndex,
        budget_bytes: int,
        forget: Callable[[int], None],
        *,
        grows: bool = True,
    ) -> None:
        self._index = index
        self._budget_bytes = budget_bytes
        self._forget = forget
        self._grows = grows
        self._states: dict[int, S] = {}
        self._preempted: set[int] = set()
        self._n_bytes = 0
        self._preempted_bytes = 0
        self._last = (1, 0)  # tokens and bytes of the state that was to be kept last

    @property
    def n_bytes(self) -> int:
        """Host memory that they take now."""
        return self._n_bytes

    def __contains__(self, holder: int) -> bool:
        return holder in self._states

    def __iter__(self) -> Iterator[int]:
        """The holders, as they are now."""
        return iter(tuple(self._states))

    def __getitem__(self, holder: int) -> S:
        return self._states[holder]

    def get(self, holder: int) -> S | None:
        """A state, if there is one."""
        return self._states.get(holder)

    def is_preempted(self, holder: int) -> bool:
        """Whether a sequence will go on from this state."""
        return holder in self._preempted

    def may_hold(self, n_tokens: int) -> bool:
        """Whether so long a state may fit: this spares making a copy of what is far too large."""
        is_hopeless = self._estimated_bytes(n_tokens) > 2 * self._budget_bytes
        return self._budget_bytes > 0 and not is_hopeless

    def has_room(self, n_tokens: int) -> bool:
        """Whether so long a state fits without the loss of anything that nobody else has."""
        others = self._states.keys() - self._preempted
        unique = sum(self._states[each].n_bytes for each in others if self._index.is_unique(each))
        kept_bytes = self._preempted_bytes + unique
        n_bytes = kept_bytes + self._estimated_bytes(n_tokens)
        return 0 < self._budget_bytes >= n_bytes

    def keep(self, holder: int, state: S, *, is_spare: bool = False) -> bool:
        """Keep the state of a prefix, at the expense of less valuable ones.

        Returns:
            False when it does not fit the budget, or when it is spare, because a lane has the
            same, and something that nobody else has would have to go for it.
        """
        self._last = (max(1, state.n_tokens), state.n_bytes)
        if self._preempted_bytes + state.n_bytes > self._budget_bytes:
            return False
        if not self._reclaim(state.n_bytes, spares_unique=is_spare):
            return False
        self._add(holder, state)
        return True

    def preempt(self, holder: int, state: S, most_bytes: int) -> bool:
        """Keep the state of a sequence that will go on from it.

        Returns:
            False when such states would take more than `most_bytes`.
        """
        if self._preempted_bytes + state.n_bytes > most_bytes:
            return False
        self._reclaim(state.n_bytes)
        self._add(holder, state)
        self._preempted.add(holder)
        self._preempted_bytes += state.n_bytes
        return True

    def take(self, holder: int) -> S | None:
        """Let go of a state, if there is one."""
        state = self._states.pop(holder, None)
        if state is None:
            return None
        self._n_bytes -= state.n_bytes
        if holder in self._preempted:
            self._preempted.discard(holder)
            self._preempted_bytes -= state.n_bytes
        return state

    def check(self) -> None:
        """Raise InvariantError unless the bytes are right and within their limits."""
        for holder, state in self._states.items():
            n_tokens = self._index.n_tokens(holder)
            require(state.n_tokens == n_tokens, "a parked state has another length")
        n_bytes = sum(state.n_bytes for state in self._states.values())
        preempted_bytes = sum(self._states[holder].n_bytes for holder in self._preempted)
        require(n_bytes == self._n_bytes, "the bytes of parked states are miscounted")
        require(preempted_bytes == self._preempted_bytes, "those of preempted ones are")
        most_bytes = max(self._budget_bytes, preempted_bytes)
        require(n_bytes <= most_bytes, "parked states take more than their budget")

    def _estimated_bytes(self, n_tokens: int) -> float:
        n_last, n_bytes = self._last
        return n_bytes * (n_tokens / n_last if self._grows else min(1.0, n_tokens / n_last))

    def _add(self, holder: int, state: S) -> None:
        self._states[holder] = state
        self._n_bytes += state.n_bytes

    def _reclaim(self, n_bytes: int, *, spares_unique: bool = False) -> bool:
        """Make room in the budget for so many more bytes, as far as it can be made."""
        while self._n_bytes + n_bytes > self._budget_bytes:
            victims = self._states.keys() - self._preempted
            if not victims:
                return False
            victim = self._index.least_valuable(victims)
            if spares_unique and self._index.is_unique(victim):
                return False
            self._forget(victim)
        return True
