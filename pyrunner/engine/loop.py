"""The loop over steps: takes requests, runs steps, says what came out of them.

Who has a lane is decided in `pyrunner.engine.admission`. One thread at a time calls what is not
said to be for any. It never waits: `step` does one step and returns.
"""

import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Tokens

from msgspec.structs import replace

from pyrunner._native import LaneState, Model, Session
from pyrunner.config import EngineConfig, check_engine
from pyrunner.engine.adapters import Adapters
from pyrunner.engine.admission import Admission
from pyrunner.engine.constraint import accept
from pyrunner.engine.disk_tier import DiskTier
from pyrunner.engine.drafting import open_speculation
from pyrunner.engine.embedding import Embeddings
from pyrunner.engine.large_pages import open_mover
from pyrunner.engine.loading import (
    cache_budget,
    context_length,
    describe,
    longest_lane,
    n_twice,
    open_session,
)
from pyrunner.engine.prefix_cache import PrefixCache
from pyrunner.engine.request import (
    Errored,
    Finished,
    GenerationRequest,
    StepEvent,
    Text,
    check_request,
)
from pyrunner.engine.scheduler import ChunkPart, SchedulerConfig, StepSchedule, schedule_step
from pyrunner.engine.sequence import Sequence
from pyrunner.engine.speculation import Draft
from pyrunner.engine.step import Sampled, run_step
from pyrunner.engine.threads import ThreadGovernor, n_threads_most
from pyrunner.engine.urgency import Urgency
from pyrunner.errors import (
    InvalidRequestError,
    PyrunnerError,
    UnsupportedParameterError,
)
from pyrunner.types import EmbeddingResult, FinishReason, ModelInfo


class EngineLoop:
    """Generates many sequences at once over one model.

    Args:
        model: Loaded; kept alive as long as the loop.
        config: What shapes the lanes, `cache_bytes` and `n_threads` are read.
        can_generate: False saves the memory of the lanes when only `embed` is wanted.
        disk: Prefixes that `leave` saved, and where it saves them.
        draft: A model of `load_models`, which guesses for this one.
        clock: Monotonic seconds, for the timings of requests.

    Raises:
        ConfigError: A value of `config` is outside its range, or two of them exclude each other.
        ContextRefusedError: llama.cpp refused the size or type of the lanes.
        OutOfMemoryError: The KV cache does not fit.
        UnsupportedParameterError: The model is no decoder.
    """

    def __init__(
        self,
        model: Model,
        config: EngineConfig,
        *,
        can_generate: bool = True,
        disk: DiskTier[LaneState] | None = None,
        draft: Model | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_engine(config)
        self._model = model
        self._clock = clock
        n_threads = n_threads_most(config.n_threads)
        n_ctx = context_length(model, config)
        self._session: Session | None = None
        self.adapters = Adapters()
        self._admission: Admission | None = None
        if can_generate and model.is_causal:
            self._session = open_session(model, config, n_threads=n_threads)
            n_ctx = self._session.n_ctx
            budget_bytes = cache_budget(self._session.lanes_bytes, config)
            held = PrefixCache(self._session, budget_bytes, disk)
            self._admission = Admission(
                self._session, held, clock, n_ctx_model=longest_lane(model, n_ctx)
            )
        self._embeddings = Embeddings(model, n_ctx=n_ctx, n_threads=n_threads)
        users = [each for each in (self._session, self._embeddings) if each is not None]
        self._governor = ThreadGovernor(n_threads, () if config.n_threads else users)
        self._speculation = open_speculation(model, self._session, config, draft, clock)
        # Passes of many rows, as embeddings are, gain nothing.
        self._mover = open_mover((model, draft) if self._session else (), config)
        n_batch = config.n_batch if self._session is None else self._session.n_batch
        self._budgets = SchedulerConfig.of(n_batch, n_twice(model))
        self._urgency = Urgency(self.interrupt)
        self._cancelled: set[int] = set()
        n_ctx_max = self._admission.n_ctx_max if self._admission else n_ctx
        self._draft_bytes = 0
        self.info: ModelInfo = describe(model, self._session, n_ctx=n_ctx, n_ctx_max=n_ctx_max)
        self._note_layout()

    @property
    def session(self) -> Session:
        """The native session, for whoever reads logits between steps.

        Raises:
            UnsupportedParameterError: This loop only embeds.
        """
        if self._session is None:
            raise _only_embeds()
        return self._session

    @property
    def n_running(self) -> int:
        """Requests that have a lane."""
        return len(self._admission.sequences) if self._admission else 0

    @property
    def n_waiting(self) -> int:
        """Requests that wait for one."""
        return self._admission.n_waiting if self._admission else 0

    @property
    def has_work(self) -> bool:
        """Whether `step` would do anything."""
        return bool(self.n_running or self.n_waiting or self._cancelled)

    def remove_adapter(self, name: str) -> None:
        """Forget an adapter; see `Adapters.remove`."""
        left = (each for each in self._lanes.requests if each.request_id not in self._cancelled)
        self.adapters.remove(name, self.session, left)

    def submit(self, request: GenerationRequest) -> None:
        """Take a request; its events come from the following steps. Nothing is kept on error.

        Raises:
            ContextLengthError: The prompt does not leave room for one token.
            InvalidParameterError: An empty prompt, a token outside the vocabulary, an adapter that
                is not there, or a sampling parameter, limit or number of logprobs outside its
                range.
        """
        check_request(request, n_vocab=self._model.n_vocab, n_ctx=self._lanes.n_ctx_max)
        salt = self.adapters.salt(request)
        self._lanes.submit(replace(request, tokens=array("i", request.tokens), salt=salt))

    def cancel(self, request_id: int) -> None:
        """End a request; a `Finished` with reason CANCELLED comes from `end_cancelled`.

        Requests that are unknown or over are ignored.
        """
        self._urgency.settle(request_id)
        if self._admission is not None and self._admission.knows(request_id):
            self._cancelled.add(request_id)

    def hurry(self, request_id: int) -> None:
        """Say that `cancel` of a request is about to come, so that it is soon. Any thread.

        The prompt chunk or the embedding that is being computed is interrupted where the cancel
        makes it useless, or where somebody waits for the lane; not where it is for others.
        """
        self._urgency.hurry(request_id)

    def interrupt(self) -> None:
        """Stop reading the prompt chunk that is being read, or the inputs of `embed`. Any thread.

        The loop goes on from where the chunk stopped; what the chunk had computed is lost.
        """
        if self._session is not None:
            self._session.interrupt()
        self._embeddings.interrupt()

    def step(self) -> list[StepEvent]:
        """Admit, run one step, and return what came out of it.

        Raises:
            DecodeError: The loop is dead and every request in it lost.
            BufferError: A row of logits is lent; nothing has changed.
        """
        if self._admission is None:
            return []
        if self.session.is_lent:
            raise BufferError("a row of logits is lent; release it before the next step")
        events: list[StepEvent] = [*self.end_cancelled(), *self._admission.admit()]
        self._note_layout()
        running = [each for each in self._sequences.values() if not each.is_reading]
        if running:  # now, because nobody waits for tokens of the last step any more
            self._mover.move_between_steps()
        schedule = self._schedule(running)
        if not schedule.running_lanes and not schedule.chunk:
            return events
        self._governor.follow()
        drafts = self._drafts(schedule.running_lanes, running)
        began_s = self._clock()
        with self._urgency.working(self._lanes.in_need([part.lane for part in schedule.chunk])):
            done = run_step(self.session, schedule, self._sequences, drafts)
        now = self._clock()
        self._note_running(schedule.running_lanes, drafts, done.sampled)
        if schedule.chunk:
            n_read = [self._note_read(part, is_done=done.is_chunk_done) for part in schedule.chunk]
            self._lanes.note_read(sum(n_read))
        if self._speculation is not None:
            seconds = None if schedule.chunk else now - began_s
            self._speculation.note_step(len(schedule.running_lanes), drafts, seconds)
        # A draft may go on behind the end of its answer.
        events.extend(
            self._advance(sampled, now)
            for sampled in done.sampled
            if sampled.lane in self._sequences
        )
        return events

    def tidy(self) -> bool:
        """Do, when there is nothing else to do, a little of what makes later steps faster.

        Returns:
            Whether there is more of it.
        """
        return self._mover.move()

    def check(self) -> None:
        """Between steps: raise InvariantError unless requests, lanes and what they hold agree."""
        if self._admission is not None:
            self._admission.check()

    def spare_lane(self) -> int:
        """A lane beside the running ones, for reading logits before the next `step`.

        The borrower clears it. Waiting requests stay waiting meanwhile. The model computes alone.

        Raises:
            QueueFullError: Every lane is taken.
        """
        self.adapters.use(self.session, "")
        return self._lanes.lend_lane()

    def embed(
        self, inputs: Tokens[Tokens[int]], *, normalize: bool = True, request_id: int = -1
    ) -> EmbeddingResult | None:
        """Turn token sequences into vectors, between two steps.

        Returns:
            None when `hurry` of `request_id`, or `interrupt`, stopped it: look at what has
            changed, and ask again.

        Raises:
            InvalidParameterError: An empty input or a token outside the vocabulary.
            ContextLengthError: An input is longer than the model takes.
        """
        self._governor.follow()
        with self._urgency.working((request_id,)) as is_useless:
            # What comes before an embedding does not interrupt it.
            return None if is_useless else self._embeddings.embed(inputs, normalize=normalize)

    @property
    def n_embedded_max(self) -> int:
        """Tokens of the longest text that `embed` takes."""
        return self._embeddings.n_tokens_max

    def leave(self) -> None:
        """Save to disk what the cells are worth it; nothing else is to be called after this."""
        if self._admission is not None:
            self._admission.save()

    @property
    def _lanes(self) -> Admission:
        if self._admission is None:
            raise _only_embeds()
        return self._admission

    @property
    def _sequences(self) -> Mapping[int, Sequence]:
        return self._lanes.sequences

    def end_cancelled(self) -> list[StepEvent]:
        """End what was cancelled, which `step` begins with."""
        if not self._cancelled:
            return []
        now, cancelled, self._cancelled = self._clock(), self._cancelled, set()
        return [
            sequence.finished(FinishReason.CANCELLED, now, held_bytes=held_bytes)
            for sequence, held_bytes in self._lanes.withdraw(cancelled)
        ]

    def _note_layout(self) -> None:
        session = self._session
        draft_bytes = 0 if self._speculation is None else self._speculation.lanes_bytes
        if session and (session.n_lanes, draft_bytes) != (self.info.n_lanes, self._draft_bytes):
            self._draft_bytes = draft_bytes
            n_lanes, n_ctx = session.n_lanes, session.n_ctx
            n_bytes = session.lanes_bytes + draft_bytes
            self.info = replace(self.info, n_lanes=n_lanes, n_ctx=n_ctx, kv_bytes=n_bytes)

    def _schedule(self, running: list[Sequence]) -> StepSchedule:
        """The rows of one adapter, with which the session computes from now on."""
        members = self.adapters.take_turn(self.session, running, self._lanes.reading)
        lanes = [each.lane for each in members.running]
        prompts = [each.prompt_state for each in members.reading]
        n_block = self._lanes.held.n_block if prompts else 0
        return schedule_step(lanes, prompts, self._budgets, n_block, others_run=bool(running))

    def _drafts(self, lanes: Tokens[int], running: list[Sequence]) -> dict[int, Draft]:
        """Of the sequences in `lanes`; all that run are known to whoever drafts."""
        speculation = self._speculation
        if speculation is None or not lanes:
            return {}
        trust, n_ctx = speculation.trust, self.session.n_ctx
        texts = {each.lane: each for each in running}
        drafters = {}
        for lane in lanes:
            sequence = texts[lane]
            if speculation.is_for(sequence.request):
                n_most = min(sequence.n_left - 1, n_ctx - sequence.n_tokens)
                drafter = sequence.ready_drafter(trust, guesses=speculation.guesses)
                drafters[lane] = (drafter, n_most)
        return speculation.drafts(drafters, len(lanes), texts)

    def _note_running(
        self, lanes: Tokens[int], drafts: Mapping[int, Draft], sampled: Tokens[Sampled]
    ) -> None:
        n_sampled = Counter(each.lane for each in sampled) if drafts else {}
        for lane in lanes:
            sequence = self._sequences[lane]
            draft = drafts.get(lane)
            accepted = () if draft is None else draft.tokens[: n_sampled[lane] - 1]
            self._lanes.held.grow(lane, (sequence.last_token, *accepted))
            if self._speculation is not None and sequence.drafter is not None:
                self._speculation.note(sequence.drafter, draft, len(accepted))

    def _note_read(self, part: ChunkPart, *, is_done: bool) -> int:
        """Returns how many of its tokens were read, also of those to be read again."""
        sequence = self._sequences[part.lane]
        n_read = part.end if is_done else self.session.lane_length(part.lane)
        held = self._lanes.held
        added = sequence.prompt[sequence.n_read : n_read]
        held.grow(part.lane, added)
        if part.is_last and n_read == part.end and not is_done:
            # Other lanes kept the chunk going until it was aborted. This prompt is in the cache,
            # but an aborted chunk has no logits to sample from: its last token is read again.
            n_read = held.step_back(part.lane)
        elif sequence.request.keeps_cells:
            held.note_read(part.lane, len(sequence.prompt))
        sequence.n_read = n_read
        return len(added)

    def _advance(self, sampled: Sampled, now_s: float) -> StepEvent:
        sequence = self._sequences[sampled.lane]
        sequence.add(sampled.token, now_s)
        if sampled.is_end:
            return self._end(sequence, FinishReason.STOP, "", sampled, now_s)
        passed = sequence.stops.feed(sampled.text)
        is_over = passed.is_stopped or sequence.is_at_limit
        constraint = sequence.request.constraint
        try:
            accept(constraint, sampled.token)
        except InvalidRequestError as error:
            # What cannot go on is no error where it does not have to.
            if sampled.token < 0 or not is_over:
                return self._fail(sequence, error)
        if passed.is_stopped or (constraint is not None and constraint.is_complete):
            return self._end(sequence, FinishReason.STOP, passed.text, sampled, now_s)
        if sequence.is_at_limit:
            return self._end(sequence, FinishReason.LENGTH, passed.text, sampled, now_s)
        return Text(
            request_id=sequence.request.request_id,
            text=passed.text,
            token=sampled.token,
            traced=sampled.traced,
        )

    def _end(
        self,
        sequence: Sequence,
        reason: FinishReason,
        text: str,
        sampled: Sampled,
        now_s: float,
    ) -> Finished:
        held_bytes = self._lanes.leave(sequence)
        event = sequence.finished(reason, now_s, text=text, held_bytes=held_bytes)
        return replace(event, token=sampled.token, traced=sampled.traced)

    def _fail(self, sequence: Sequence, error: PyrunnerError) -> Errored:
        self._lanes.leave(sequence)
        return Errored(request_id=sequence.request.request_id, error=error)


def _only_embeds() -> UnsupportedParameterError:
    return UnsupportedParameterError(param="generate", hint="This model was loaded for embeddings.")
