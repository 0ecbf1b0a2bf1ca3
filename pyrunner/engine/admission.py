"""Who gets a lane: requests that wait, lanes that are taken, given up and freed, and their lengths.

For the loop's thread. A step and what comes out of it is in `pyrunner.engine.loop`.

Lanes belong to the highest priority, and of equals to the oldest, but adapters take turns
(`pyrunner.engine.adapter_turns`). Without a free one a request of higher priority takes the lane of
the youngest of the lowest. A sequence that no lane can hold waits until nobody of higher priority
is there and it is its turn beside the older ones, and then has the lanes made anew, fewer and
longer ones; whoever has none then goes on later. They are made more and shorter again when those
whose turn it is are more than there are lanes.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain, takewhile

from pyrunner._native import Session
from pyrunner._native.status import Status
from pyrunner.engine.adapter_turns import QueuePlaces
from pyrunner.engine.lanes import WIDEN_PAUSE_S, LaneLedger, Layouts
from pyrunner.engine.prefix_cache import PrefixCache
from pyrunner.engine.reading_order import ReadingOrder
from pyrunner.engine.request import Errored, GenerationRequest
from pyrunner.engine.sampling import native_params, recent_tokens
from pyrunner.engine.sequence import Sequence
from pyrunner.engine.waiting import Claim, Preempted, Waiting, right
from pyrunner.errors import (
    DecodeError,
    NativeError,
    OutOfMemoryError,
    PyrunnerError,
    QueueFullError,
)
from pyrunner.types import LaneLayout


class Admission:
    """Owns the requests that wait and those that have a lane.

    Args:
        session: Its lanes are given to requests, and made anew with other lengths.
        held: What the lanes hold.
        clock: Monotonic seconds, for the timings of requests.
        n_ctx_model: Tokens the model can have in a lane; no sequence gets more, or what one lane
            holds now if that is more.
    """

    def __init__(
        self,
        session: Session,
        held: PrefixCache,
        clock: Callable[[], float],
        *,
        n_ctx_model: int = 0,
    ) -> None:
        self._session = session
        self._held = held
        self._clock = clock
        self._layouts = Layouts(self._layout, n_ctx_model)
        self._ledger = LaneLedger(session.n_lanes)
        self._order = ReadingOrder()
        self._waiting: list[Waiting] = []
        self._sequences: dict[int, Sequence] = {}  # by lane
        self._places = QueuePlaces()
        self._may_widen_at_s = clock()  # later when memory for more lanes was not to be had

    @property
    def n_ctx_max(self) -> int:
        """Tokens that a sequence can have at most."""
        return self._layouts.n_ctx_max

    @property
    def sequences(self) -> Mapping[int, Sequence]:
        """Those that have a lane, by lane."""
        return self._sequences

    @property
    def held(self) -> PrefixCache:
        """What the lanes hold."""
        return self._held

    @property
    def reading(self) -> list[Sequence]:
        """Those whose prompts are not read to their ends, whose turn it is first."""
        reading = [each for each in self._sequences.values() if each.is_reading]
        return sorted(
            reading, key=lambda each: (-each.request.priority, each.due, each.place.order)
        )

    @property
    def n_waiting(self) -> int:
        """Requests that have no lane."""
        return len(self._waiting)

    def in_need(self, chunk_lanes: Collection[int]) -> set[int]:
        """Whose cancel is worth a chunk: its own, and where somebody waits every lane's."""
        lanes = self._sequences if chunk_lanes and self._waiting else chunk_lanes
        return {self._sequences[lane].request.request_id for lane in lanes}

    def knows(self, request_id: int) -> bool:
        """Whether a request waits or has a lane."""
        return any(each.request_id == request_id for each in self.requests)

    @property
    def requests(self) -> Iterator[GenerationRequest]:
        """Those that wait and those that have a lane."""
        claims: Iterator[Claim] = chain(self._waiting, self._sequences.values())
        return (each.request for each in claims)

    def submit(self, request: GenerationRequest) -> None:
        """Let a request wait for a lane."""
        place = self._places.join(request.adapter, request.priority)
        self._waiting.append(Waiting(request, self._clock(), place))

    def withdraw(self, request_ids: Collection[int]) -> list[tuple[Sequence, bytes]]:
        """End requests, wherever they are; returns them with what `leave` would."""
        waiting = [each for each in self._waiting if each.request.request_id in request_ids]
        running = [
            each for each in self._sequences.values() if each.request.request_id in request_ids
        ]
        gone = [self._leave_queue(each) for each in waiting]
        return gone + [(each, self.leave(each)) for each in running]

    def admit(self) -> list[Errored]:
        """Give lanes to waiting requests, then close holes; returns those that failed.

        Raises:
            DecodeError: There are no lanes any more.
        """
        for sequence in [each for each in self._sequences.values() if self._is_outgrown(each)]:
            self._preempt(sequence)
        errors: list[Errored] = []
        while claims := self._claims():
            layout = self._wanted(claims)
            if layout != self._layout:
                errors += self._change_lanes(layout, claims)
                continue
            waiting = self._next(claims)
            if waiting is None:
                break
            try:
                self._start(waiting)
            except PyrunnerError as error:
                errors.append(Errored(request_id=waiting.request.request_id, error=error))
        self._close_holes()
        return errors

    def note_read(self, n_tokens: int) -> None:
        """A step read so many tokens of prompts."""
        self._order.read(n_tokens)
        if not any(each.is_reading for each in self._sequences.values()):
            self._order.clear()

    def leave(self, sequence: Sequence) -> bytes:
        """A sequence is over: its lane is free.

        Returns:
            The UTF-8 of a character that was not complete, replaced.
        """
        self._stop_reading(sequence)
        held_bytes = self._session.close_lane(sequence.lane)
        if not sequence.request.keeps_cells:
            self._held.discard(sequence.lane)
        del self._sequences[sequence.lane]
        self._ledger.release(sequence.lane)
        return held_bytes

    def lend_lane(self) -> int:
        """An empty lane beside the running ones, until the next `admit`.

        Raises:
            QueueFullError: Every lane is taken.
        """
        self._close_holes()
        if not self._ledger.n_free:
            raise QueueFullError(limit=self._session.n_lanes, what="lanes")
        lane = self._ledger.lowest_free
        self._held.vacate(lane)
        return lane

    def save(self) -> None:
        """Save to disk what is held, also of who is not at its end, but for who asked not to."""
        for waiting in self._waiting:
            if waiting.preempted is not None and not waiting.request.keeps_cells:
                self._held.release(waiting.preempted.holder, keeps_cells=False)
        sequences = self._sequences.items()
        self._held.save(but=[i for i, each in sequences if not each.request.keeps_cells])

    def check(self) -> None:
        """Between steps: raise InvariantError unless requests, lanes and what they hold agree."""
        running = {lane: each.request.request_id for lane, each in self._sequences.items()}
        self._ledger.check(running)
        self._held.check()

    def _claims(self) -> list[Claim]:
        """All who have a lane or would take one, who goes first first; none if nobody can get one.

        Those who follow another would not. Who has a lane does not matter, so nobody's start or
        preemption changes what lanes there should be.
        """
        self._places.close_gaps()
        if not self._waiting or self._is_settled():
            return []
        claims: list[Claim] = [each for each in self._waiting if not self._is_following(each)]
        return sorted([*claims, *self._sequences.values()], key=right)

    def _is_settled(self) -> bool:
        """Whether all lanes are taken, the usual ones, by those whose turn it is."""
        if self._ledger.n_free or self._layout != self._layouts.usual:
            return False
        return max(map(right, self._sequences.values())) < min(map(right, self._waiting))

    def _wanted(self, claims: list[Claim]) -> LaneLayout:
        """The lanes that those whose turn it is need; longer ones for the highest priority only."""
        now = self._layout
        highest = claims[0].request.priority
        due = takewhile(
            lambda each: each.n_cells <= now.n_ctx or each.request.priority == highest, claims
        )
        layout = self._layouts.wanted(now, (each.n_cells for each in due))
        can_widen = self._clock() >= self._may_widen_at_s
        return now if layout.n_lanes > now.n_lanes and not can_widen else layout

    def _change_lanes(self, layout: LaneLayout, claims: list[Claim]) -> list[Errored]:
        """Make the lanes anew, which nobody has then.

        Returns:
            The request that failed, because there is no memory for lanes as long as it needs.

        Raises:
            DecodeError: There are no lanes any more.
        """
        now = self._layout
        try:
            self._make_lanes(layout)
        except OutOfMemoryError as error:
            if layout.n_lanes > now.n_lanes:
                self._may_widen_at_s = self._clock() + WIDEN_PAUSE_S
                return []
            failed = next(each for each in self._in_queue(claims) if each.n_cells > now.n_ctx)
            self._leave_queue(failed)
            return [Errored(request_id=failed.request.request_id, error=error)]
        return []

    def _next(self, claims: list[Claim]) -> Waiting | None:
        """Whose turn it is to get a lane, if there is one or another's can be taken for it."""
        able = (each for each in self._in_queue(claims) if each.n_cells <= self._session.n_ctx)
        first = next(able, None)
        if first is None or self._ledger.n_free or self._preempt_lower(first):
            return first
        return None

    @staticmethod
    def _in_queue(claims: list[Claim]) -> Iterator[Waiting]:
        return (each for each in claims if isinstance(each, Waiting))

    def _preempt_lower(self, waiting: Waiting) -> bool:
        """Take the lane of the youngest of the lowest priority, if that is below this one's."""
        victim = max(self._sequences.values(), key=right)
        if victim.request.priority >= waiting.request.priority:
            return False
        self._preempt(victim)
        return True

    def _preempt(self, sequence: Sequence) -> None:
        """A sequence gives its lane up and waits for another."""
        self._stop_reading(sequence)
        lane = sequence.lane
        voice = self._session.detach_lane(lane)
        preempted = Preempted(sequence, voice, self._held.preempt(lane))
        del self._sequences[lane]
        self._ledger.release(lane)
        sequence.lane = -1
        self._waiting.append(
            Waiting(sequence.request, sequence.submitted_at_s, sequence.place, preempted)
        )

    def _is_outgrown(self, sequence: Sequence) -> bool:
        """Whether a sequence that may go on has filled its lane."""
        return not sequence.is_reading and sequence.n_tokens >= self._session.n_ctx

    def _stop_reading(self, sequence: Sequence) -> None:
        if sequence.is_reading:
            self._order.leave(sequence.due)

    @property
    def _layout(self) -> LaneLayout:
        return LaneLayout(self._session.n_lanes, self._session.n_ctx)

    def _make_lanes(self, layout: LaneLayout) -> None:
        """Make the lanes anew; all sequences give theirs up.

        Raises:
            OutOfMemoryError: There is none for them; the lanes are as long as before.
            DecodeError: Nor is there for those any more.
        """
        before = self._layout
        for sequence in sorted(self._sequences.values(), key=right):  # room may not be for all
            self._preempt(sequence)
        self._held.park_all()
        try:
            self._session.set_layout(layout.n_ctx, layout.n_lanes)
        except NativeError as error:
            self._make_lanes_again(before)
            raise OutOfMemoryError(during="making other lanes") from error
        finally:
            self._held.note_layout()
            self._ledger = LaneLedger(self._session.n_lanes)

    def _make_lanes_again(self, layout: LaneLayout) -> None:
        try:
            self._session.set_layout(layout.n_ctx, layout.n_lanes)
        except NativeError as error:
            raise DecodeError(status=int(Status.OUT_OF_MEMORY), during="making lanes") from error

    def _leave_queue(self, waiting: Waiting) -> tuple[Sequence, bytes]:
        self._waiting.remove(waiting)
        self._places.leave(waiting.place)
        had = waiting.preempted
        if had is None:
            return self._sequence(waiting, lane=-1), b""
        self._held.release(had.holder, keeps_cells=waiting.request.keeps_cells)
        return had.sequence, had.voice.close()

    def _sequence(self, waiting: Waiting, lane: int, n_cached: int = 0) -> Sequence:
        request = waiting.request
        # What it may have does not depend on how long the lanes happen to be now.
        n_ctx = self._layouts.n_ctx_max
        if request.limits.max_tokens is None:
            n_ctx = min(n_ctx, self._layouts.fitting(waiting.n_cells).n_ctx)
        return waiting.sequence(lane, n_ctx, self._clock(), n_cached)

    def _is_following(self, waiting: Waiting) -> bool:
        """Whether a request had better wait for another that reads the same beginning."""
        if waiting.preempted is not None:
            return False
        priority = waiting.request.priority
        begun = [each.preempted.sequence for each in self._waiting if each.preempted is not None]
        reading = [
            each
            for each in (*self.reading, *begun)
            if each.is_reading and each.request.priority >= priority
        ]
        if not reading or not self._held.can_branch:
            return False
        if waiting.follows(reading):
            return True
        request = waiting.request
        n_cached = self._held.n_cached(request.tokens, request.salt)
        return waiting.choose_leader(reading, n_cached, self._held.n_block)

    def _start(self, waiting: Waiting) -> None:
        """Give the lowest free lane to a request.

        Raises:
            PyrunnerError: It cannot be opened; the request is forgotten.
        """
        self._waiting.remove(waiting)
        request = waiting.request
        self._places.start(waiting.place)
        lane = self._ledger.take(request.request_id)
        if waiting.preempted is not None:
            sequence = self._resumed(waiting.preempted, lane)
        else:
            n_cached = self._held.start(lane, request.tokens, request.salt)
            try:
                self._open_lane(lane, request)
            except PyrunnerError:
                self._ledger.release(lane)
                raise
            sequence = self._sequence(waiting, lane, n_cached)
        self._sequences[lane] = sequence
        if sequence.is_reading:
            sequence.due = self._order.join(len(sequence.prompt) - sequence.n_read)

    def _resumed(self, had: Preempted, lane: int) -> Sequence:
        sequence = had.sequence
        n_held = self._held.resume(lane, had.holder, sequence.tokens, sequence.request.salt)
        self._session.attach_lane(lane, had.voice)
        sequence.resume(lane, n_held)
        return sequence

    def _open_lane(self, lane: int, request: GenerationRequest) -> None:
        sampling = request.sampling
        self._session.open_lane(
            lane,
            native_params(sampling, ignore_eos=request.limits.ignore_eos),
            bias_tokens=[token for token, _ in sampling.logit_bias],
            biases=[bias for _, bias in sampling.logit_bias],
            history=recent_tokens(request.tokens, sampling),
            preserved_tokens=request.preserved_tokens,
            n_logprobs=-1 if request.n_logprobs is None else request.n_logprobs,
        )

    def _close_holes(self) -> None:
        while move := self._ledger.next_move():
            if not self._held.move(move.source, move.target):
                return  # this memory type cannot travel; a batch with holes is slow, not wrong
            self._ledger.moved(move)
            self._sequences[move.source].lane = move.target
            self._sequences[move.target] = self._sequences.pop(move.source)
