"""What lies in the lanes between requests and in host memory, and starting a request from it.

The cells of a request that is over stay in its lane: it rests. When the lane is needed they are
parked, as a state blob in host memory, until the budget is used up; then the least valuable blob
goes. A request starts at the longest beginning that any lane, running ones included, or any blob
holds, or any file of the disk tier, which is written when the model is unloaded.

The cells of a sequence that gave its lane up are parked, too, but nobody else's need makes them go.
"""

import itertools
from collections.abc import Collection, Sequence
from functools import partial

from pyrunner._native import LaneState, Session
from pyrunner.engine import snapshots
from pyrunner.engine.disk_tier import DiskTier, Wanted
from pyrunner.engine.lane_copies import LaneCopies, Restored
from pyrunner.engine.parked import ParkedStates
from pyrunner.engine.prefix_index import Match, PrefixIndex, require
from pyrunner.types import LaneLayout

MIN_COPIED = 32
"""Tokens below which a prefix is read again rather than copied or parked."""
_MAX_HELD_PER_SHARED = 64
"""A copy moves all that its source holds, for a seventieth of what reading it costs ("Passes"
in docs/benchmarks.md), and has to be worth it."""


class PrefixCache:
    """Owns what the lanes hold and the parked states. For the loop's thread.

    Args:
        session: Its lanes are the loop's; only the loop runs steps in them.
        budget_bytes: Host memory for parked states.
        disk: What was saved when the model was unloaded, if anything is.
    """

    def __init__(
        self, session: Session, budget_bytes: int, disk: DiskTier[LaneState] | None = None
    ) -> None:
        self._session = session
        self._copies = LaneCopies(session)
        self._disk = disk
        self._index = PrefixIndex()
        self._in_lane: dict[int, int] = {}  # holder by lane
        self._parked = ParkedStates[LaneState](
            self._index, budget_bytes, self._forget, grows=session.drops_tails
        )
        self._ids = itertools.count()
        self._salts: dict[int, str] = {}  # by holder

    @property
    def n_block(self) -> int:
        """A request can start from a multiple of so many tokens of what a running one holds.

        Starts as what the session says; 0, not at all, for good when its memory refuses.
        """
        n_block = self._copies.n_block
        return n_block if n_block == 1 or self._parked.may_hold(n_block) else 0

    @property
    def can_branch(self) -> bool:
        """Whether a request that waits for what another reads would find it."""
        return self.n_block == 1 or (self.n_block > 1 and self._parked.has_room(self.n_block))

    @property
    def parked_bytes(self) -> int:
        """Host memory that parked states take now."""
        return self._parked.n_bytes

    def n_cached(self, tokens: Sequence[int], salt: str) -> int:
        """How much of a prompt need not be read, if it started now."""
        match = self._match(tokens, salt, lane=-1)
        n_tokens = match.n_tokens if match else 0
        on_disk = self._match_on_disk(tokens, salt, n_tokens)
        return on_disk.n_tokens if on_disk else n_tokens

    def start(self, lane: int, tokens: Sequence[int], salt: str) -> int:
        """Fill a free lane with as much of a prompt as is held anywhere, and nothing else.

        At least the last token is left to be read, because its logits are wanted.

        Returns:
            How many tokens the lane holds now, 0..``len(tokens) - 1``.
        """
        if n_tokens := self._start_from_disk(lane, tokens, salt):
            return n_tokens
        match = self._match(tokens, salt, lane)
        holder = self._in_lane.get(lane)
        if match is not None and match.holder_id == holder:
            return self._keep_beginning(lane, holder, match.n_tokens)
        # Parking what rests here may reclaim what was found: hold on to that first.
        state = self._state_of(match.holder_id) if match is not None else None
        self.vacate(lane)
        n_tokens = 0
        if match is not None and state is not None and self._copied(lane, state, match.n_tokens):
            n_tokens = match.n_tokens
        self._enter(lane, tokens[:n_tokens], salt)
        return n_tokens

    def grow(self, lane: int, tokens: Sequence[int]) -> None:
        """Tokens were added to the cells of a running lane."""
        self._index.extend(self._in_lane[lane], tokens)

    def note_read(self, lane: int, n_prompt: int) -> None:
        """A prompt of `n_prompt` tokens was read on in a running lane, after `grow`.

        Where no tail can be dropped a copy is parked at each of its places, so that a prompt that
        shares as much can start from it. It makes only other copies go.
        """
        if self._copies.drops_tails:
            return
        holder = self._in_lane[lane]
        n_tokens = self._index.n_tokens(holder)
        if not (snapshots.is_place(n_tokens, n_prompt) and self._parked.has_room(n_tokens)):
            return
        tokens, salt = self._index.tokens_of(holder), self._salts[holder]
        known = self._index.longest_whole(tokens, salt, among=self._parked)
        if known is not None and known.n_tokens == n_tokens:
            self._index.touch(known.holder_id)
            return
        state = self._saved(lane)
        if state is not None:
            self._park_spare(tokens, salt, state)

    def vacate(self, lane: int) -> None:
        """Empty a free lane; park what rests there if that is worth it."""
        holder = self._in_lane.pop(lane, None)
        if holder is not None:
            state = self._saved(lane) if self._is_worth_parking(holder) else None
            if state is None or not self._parked.keep(holder, state):
                self._forget(holder)
        self._session.clear_lane(lane)

    def discard(self, lane: int) -> None:
        """Empty a lane whose request is over, and remember nothing of it."""
        self._forget(self._in_lane.pop(lane))
        self._session.clear_lane(lane)

    def preempt(self, lane: int) -> int:
        """Empty the lane of a sequence that will go on, and keep its cells if that can be.

        They take the place of parked states, and what all lanes have at most beyond the budget.

        Returns:
            What `resume` and `release` know them by.
        """
        holder = self._in_lane.pop(lane)
        state = self._saved(lane) if self._index.n_tokens(holder) else None
        self._session.clear_lane(lane)
        most_bytes = self._session.lanes_bytes
        if state is None or not self._parked.preempt(holder, state, most_bytes):
            self._forget(holder)
        return holder

    def resume(self, lane: int, holder: int, tokens: Sequence[int], salt: str) -> int:
        """Fill a free lane with what a preempted sequence held.

        Args:
            lane: Free.
            holder: From `preempt`.
            tokens: All that the sequence has; it held less.
            salt: Its own.

        Returns:
            How many tokens the lane holds now. Where its cells were lost that is as for `start`.
        """
        state = self._parked.get(holder)
        if state is None:
            return self.start(lane, tokens, salt)
        self.vacate(lane)
        is_copied = self._copied(lane, state, state.n_tokens)
        self.release(holder, keeps_cells=False)
        if not is_copied:
            return self.start(lane, tokens, salt)
        self._enter(lane, tokens[: state.n_tokens], salt)
        return state.n_tokens

    def release(self, holder: int, *, keeps_cells: bool) -> None:
        """A preempted sequence is over, or has its cells in a lane again."""
        state = self._parked.take(holder) if self._parked.is_preempted(holder) else None
        if state is None:
            return  # its cells were lost
        is_kept = keeps_cells and self._is_worth_parking(holder)
        if not is_kept or not self._parked.keep(holder, state):
            self._forget(holder)

    def park_all(self) -> None:
        """Empty all lanes, none of which is running; park what rests there if that is worth it."""
        for lane in tuple(self._in_lane):
            self.vacate(lane)

    def note_layout(self) -> None:
        """The session's lanes were made anew, and what cannot be in them is forgotten."""
        for holder in self._parked:
            state = self._parked[holder]
            if state.n_lanes != self._session.n_lanes and not state.fits_layouts:
                self._forget(holder)

    def step_back(self, lane: int) -> int:
        """Drop the last token of a running lane, because it has to be read again.

        Returns:
            How many tokens the lane holds now: none where its memory cannot drop one.
        """
        holder = self._in_lane[lane]
        n_tokens = self._index.n_tokens(holder) - 1
        n_kept = n_tokens if self._copies.truncate(lane, n_tokens) else 0
        self._index.truncate(holder, n_kept)
        return n_kept

    def move(self, source: int, target: int) -> bool:
        """Move a running lane to a free one, whose contents are parked; False when it cannot."""
        if not self._copies.can_travel:
            return False
        self.vacate(target)
        if not self._copies.move(source, target):
            self._forget_useless()
            return False
        self._in_lane[target] = self._in_lane.pop(source)
        return True

    def save(self, but: Collection[int] = ()) -> None:
        """Write what is worth keeping to the disk tier, if there is one: the model is unloaded.

        Args:
            but: Lanes whose contents are not to be kept.
        """
        if self._disk is None or not self._copies.can_travel:
            return
        held = [*self._parked, *(each for lane, each in self._in_lane.items() if lane not in but)]
        held = [each for each in held if self._index.n_tokens(each) >= MIN_COPIED]
        latest = self._index.latest_first(held, drops_beginnings=self._copies.drops_tails)
        wanted = (
            Wanted(self._index.tokens_of(each), self._salts[each], partial(self._taken, each))
            for each in latest
        )
        self._disk.save(wanted, self._session.n_lanes, drops_beginnings=self._copies.drops_tails)

    def check(self) -> None:
        """Between steps: raise InvariantError unless lanes, states, salts and index agree."""
        self._index.check()
        held = [*self._in_lane.values(), *self._parked]
        require(len(set(held)) == len(held), "a holder is in two places")
        require(set(held) == set(self._salts), "a holder is nowhere, or has no salt")
        require(self._index.n_holders == len(held), "the index has other holders")
        for holder, salt in self._salts.items():
            tokens = self._index.tokens_of(holder)
            found = self._index.longest(tokens, salt, among=(holder,))
            require(not tokens or found == (holder, len(tokens)), "the index has another salt")
        for lane, holder in self._in_lane.items():
            n_tokens = self._index.n_tokens(holder)
            require(self._session.lane_length(lane) == n_tokens, "a lane has another length")
        self._parked.check()

    def _match(self, tokens: Sequence[int], salt: str, lane: int) -> Match | None:
        """The best holder for a prompt in this lane; what it says to share can be had."""
        wanted = tokens[:-1]
        here = self._in_lane.get(lane)
        prefer = partial(self._cost, here=here)
        if not self._copies.drops_tails:
            whole = {each: Match(each, self._index.n_tokens(each)) for each in self._salts}
            able = [each for each in whole if each == here or self._is_worth_copying(whole[each])]
            return self._index.longest_whole(wanted, salt, among=able, prefer=prefer)
        match = self._index.longest(wanted, salt, prefer=prefer)
        if match is None or match.holder_id == here or self._is_worth_copying(match):
            return match
        able = [each for each in self._salts if each == here or self._fits(each)]
        match = self._index.longest(wanted, salt, among=able)
        if match is None or match.holder_id == here or self._is_worth_copying(match):
            return match
        return self._index.longest(wanted, salt, among=() if here is None else (here,))

    def _cost(self, holder: int, here: int | None) -> int:
        if holder == here:
            return 0
        return 1 if holder in self._parked else 2  # a lane has to be saved first

    def _is_worth_copying(self, match: Match) -> bool:
        n_held = self._index.n_tokens(match.holder_id)
        is_long = match.n_tokens >= MIN_COPIED
        is_cheap = n_held <= match.n_tokens * _MAX_HELD_PER_SHARED
        return self._copies.can_travel and is_long and is_cheap and self._fits(match.holder_id)

    def _fits(self, holder: int) -> bool:
        """Whether a lane is long enough; a parked state may be of a layout with longer ones."""
        return self._index.n_tokens(holder) <= self._session.n_ctx

    def _match_on_disk(self, tokens: Sequence[int], salt: str, n_tokens: int) -> Match | None:
        """A file that has so much more than the `n_tokens` in memory that reading it pays."""
        if self._disk is None or not self._copies.can_travel:
            return None
        self._disk.refresh()
        layout = LaneLayout(self._session.n_lanes, self._session.n_ctx)
        is_whole = not self._copies.drops_tails
        match = self._disk.match(tokens[:-1], salt, layout, is_whole=is_whole)
        is_better = match is not None and match.n_tokens >= n_tokens + MIN_COPIED
        return match if is_better else None

    def _start_from_disk(self, lane: int, tokens: Sequence[int], salt: str) -> int:
        """Fill a free lane from a file; 0 when there is none, or none that is sound."""
        if self._disk is None:
            return 0
        here = self._match(tokens, salt, lane)
        match = self._match_on_disk(tokens, salt, here.n_tokens if here else 0)
        state = self._disk.read(match.holder_id) if match is not None else None
        if match is None or state is None:
            return 0
        self.vacate(lane)
        restored = self._copies.restore(lane, state, is_own=False)
        if restored is Restored.REFUSED:
            self._disk.drop(match.holder_id)
        if restored is not Restored.WHOLE:
            return 0
        n_tokens = match.n_tokens
        if n_tokens < state.n_tokens and not self._copies.truncate(lane, n_tokens):
            n_tokens = 0
        self._enter(lane, tokens[:n_tokens], salt)
        if n_tokens < state.n_tokens:
            self._park_spare(self._disk.tokens_of(match.holder_id), salt, state)
        return n_tokens

    def _taken(self, holder: int) -> LaneState | None:
        """The state of a holder, to be written and dropped."""
        if holder in self._parked:
            return self._parked[holder]
        return self._saved(next(lane for lane, each in self._in_lane.items() if each == holder))

    def _keep_beginning(self, lane: int, holder: int, n_tokens: int) -> int:
        n_lost = self._index.n_tokens(holder) - n_tokens
        if n_lost == 0:
            self._index.touch(holder)
            return n_tokens
        salt = self._salts[holder]
        beginning = self._index.tokens_of(holder)
        is_worth_it = n_lost >= MIN_COPIED and self._is_worth_parking(holder)
        state = self._saved(lane) if is_worth_it else None
        if state is None or not self._parked.keep(holder, state):
            self._forget(holder)
        n_kept = n_tokens if self._copies.truncate(lane, n_tokens) else 0
        self._enter(lane, beginning[:n_kept], salt)
        return n_kept

    def _state_of(self, holder: int) -> LaneState | None:
        """The state of a holder; one that is in a lane stays there, and is parked as well."""
        if holder in self._parked:
            self._index.touch(holder)
            return self._parked[holder]
        lane = next(lane for lane, each in self._in_lane.items() if each == holder)
        state = self._saved(lane)
        if state is not None:
            # Whoever shares this beginning next finds the copy made.
            self._park_spare(self._index.tokens_of(holder), self._salts[holder], state)
        return state

    def _park_spare(self, tokens: Sequence[int], salt: str, state: LaneState) -> None:
        """Keep a state that is also elsewhere, if nothing unique has to go for it."""
        copy = self._new_holder(tokens, salt)
        if not self._parked.keep(copy, state, is_spare=True):
            self._forget(copy)

    def _copied(self, lane: int, state: LaneState, n_tokens: int) -> bool:
        restored = self._copies.restore(lane, state)
        if restored is Restored.REFUSED:
            self._copies.can_travel = False
            self._forget_useless()
        if restored is not Restored.WHOLE:
            return False
        return n_tokens == state.n_tokens or self._copies.truncate(lane, n_tokens)

    def _saved(self, lane: int) -> LaneState | None:
        state = self._copies.save(lane)
        self._forget_useless()
        return state

    def _forget_useless(self) -> None:
        """Nothing that is parked will ever be used where this memory cannot be copied."""
        if not self._copies.can_travel:
            for holder in self._parked:
                self._forget(holder)

    def _is_worth_parking(self, holder: int) -> bool:
        n_tokens = self._index.n_tokens(holder)
        is_worth_it = n_tokens >= MIN_COPIED and self._index.is_unique(holder)
        return is_worth_it and self._parked.may_hold(n_tokens)

    def _enter(self, lane: int, tokens: Sequence[int], salt: str) -> None:
        self._in_lane[lane] = self._new_holder(tokens, salt)

    def _new_holder(self, tokens: Sequence[int], salt: str) -> int:
        holder = next(self._ids)
        self._index.insert(holder, tokens, salt)
        self._salts[holder] = salt
        return holder

    def _forget(self, holder: int) -> None:
        self._index.remove(holder)
        del self._salts[holder]
        self._parked.take(holder)
