"""Who gets a lane: requests that wait, lanes that are taken and freed, and holes that are closed.

For the loop's thread. A step and what comes out of it is in `pyrunner.engine.loop`.
"""

from collections.abc import Callable, Collection, Mapping

from pyrunner._native import Session
from pyrunner.engine.lanes import LaneLedger
from pyrunner.engine.prefix_cache import PrefixCache
from pyrunner.engine.reading_order import ReadingOrder
from pyrunner.engine.request import Errored, GenerationRequest
from pyrunner.engine.sampling import native_params, recent_tokens
from pyrunner.engine.sequence import Sequence
from pyrunner.engine.waiting import Waiting
from pyrunner.errors import PyrunnerError, QueueFullError


class Admission:
    """Owns the requests that wait and those that have a lane.

    Args:
        session: Its lanes are given to requests.
        held: What the lanes hold.
        clock: Monotonic seconds, for the timings of requests.
    """

    def __init__(self, session: Session, held: PrefixCache, clock: Callable[[], float]) -> None:
        self._session = session
        self._held = held
        self._clock = clock
        self._ledger = LaneLedger(session.n_lanes)
        self._order = ReadingOrder()
        self._waiting: list[Waiting] = []  # oldest first
        self._sequences: dict[int, Sequence] = {}  # by lane, oldest first

    @property
    def sequences(self) -> Mapping[int, Sequence]:
        """Those that have a lane, by lane, oldest first."""
        return self._sequences

    @property
    def held(self) -> PrefixCache:
        """What the lanes hold."""
        return self._held

    @property
    def reading(self) -> list[Sequence]:
        """Those whose prompts are not read to their ends, whose turn it is first."""
        reading = [each for each in self._sequences.values() if each.is_reading]
        return sorted(reading, key=lambda each: each.due)

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
        if any(each.request.request_id == request_id for each in self._waiting):
            return True
        return any(each.request.request_id == request_id for each in self._sequences.values())

    def submit(self, request: GenerationRequest) -> None:
        """Let a request wait for a lane."""
        self._waiting.append(Waiting(request, self._clock()))

    def withdraw(self, request_ids: Collection[int]) -> list[Sequence]:
        """Forget waiting requests; returns them as sequences that have not begun."""
        gone = [each for each in self._waiting if each.request.request_id in request_ids]
        for waiting in gone:
            self._waiting.remove(waiting)
        return [self._sequence(waiting, lane=-1) for waiting in gone]

    def admit(self) -> list[Errored]:
        """Give free lanes to waiting requests, then close holes; returns those that failed."""
        errors = []
        for waiting in tuple(self._waiting):
            if not self._ledger.n_free:
                break
            if not self._is_following(waiting):
                error = self._start(waiting)
                if error is not None:
                    errors.append(error)
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
        """Save to disk what the lanes hold, running ones included, but for who asked not to."""
        sequences = self._sequences.items()
        self._held.save(but=[i for i, each in sequences if not each.request.keeps_cells])

    def check(self) -> None:
        """Between steps: raise InvariantError unless requests, lanes and what they hold agree."""
        running = {lane: each.request.request_id for lane, each in self._sequences.items()}
        self._ledger.check(running)
        self._held.check()

    def _sequence(self, waiting: Waiting, lane: int, n_cached: int = 0) -> Sequence:
        return Sequence(
            request=waiting.request,
            lane=lane,
            n_ctx=self._session.n_ctx,
            submitted_at_s=waiting.submitted_at_s,
            started_at_s=self._clock(),
            n_cached=n_cached,
        )

    def _is_following(self, waiting: Waiting) -> bool:
        """Whether a request had better wait for another that reads the same beginning."""
        reading = self.reading
        if not reading or not self._held.can_branch:
            return False
        if waiting.follows(reading):
            return True
        request = waiting.request
        n_cached = self._held.n_cached(request.tokens, request.salt)
        return waiting.choose_leader(reading, n_cached)

    def _start(self, waiting: Waiting) -> Errored | None:
        self._waiting.remove(waiting)
        request = waiting.request
        lane = self._ledger.take(request.request_id)
        n_cached = self._held.start(lane, request.tokens, request.salt)
        try:
            self._open_lane(lane, request)
        except PyrunnerError as error:
            self._ledger.release(lane)
            return Errored(request_id=request.request_id, error=error)
        sequence = self._sequences[lane] = self._sequence(waiting, lane, n_cached)
        sequence.due = self._order.join(len(sequence.prompt) - n_cached)
        return None

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
            # Made anew, because a changed key would make the sequence the youngest.
            self._sequences = {each.lane: each for each in self._sequences.values()}
