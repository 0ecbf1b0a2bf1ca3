"""One request on its way through the loop."""

from array import array
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field

from pyrunner.engine.adapter_turns import Place
from pyrunner.engine.request import Finished, GenerationRequest
from pyrunner.engine.scheduler import PromptState
from pyrunner.engine.speculation import Drafter, PredictionUse
from pyrunner.engine.stop import StopMatcher
from pyrunner.types import FinishEvent, FinishReason, Timings, Usage


@dataclass(slots=True, kw_only=True, eq=False)
class Sequence:
    """A request that has a lane, or had one and waits for another. Only the loop changes it."""

    request: GenerationRequest
    lane: int
    """-1 while it has none."""
    n_ctx: int
    """Tokens it may have, prompt and answer together."""
    place: Place = field(default_factory=Place)
    """Its own, in the queue for lanes."""
    submitted_at_s: float
    started_at_s: float
    n_cached: int = 0
    """Prompt tokens that were in the cache when it started."""
    due: float = 0.0
    """Its place among the prompts that are read: see `pyrunner.engine.reading_order`."""
    stops: StopMatcher = field(init=False)
    n_read: int = field(init=False)
    """Prompt tokens that are in the cache now."""
    n_generated: int = 0
    generated: "array[int]" = field(default_factory=lambda: array("i"))
    """The tokens of the answer."""
    last_token: int = -1
    first_token_at_s: float | None = None
    drafter: Drafter | None = None
    """Made when the prompt is read, where there is speculation."""
    _read_again: "array[int] | None" = None

    def __post_init__(self) -> None:
        self.n_read = self.n_cached
        self.stops = StopMatcher(self.request.limits.stop)

    @property
    def prompt(self) -> Tokens[int]:
        """The tokens to read before the next is generated.

        Also those of the answer, when the cells of a sequence that had begun it were lost.
        """
        return self.request.tokens if self._read_again is None else self._read_again

    @property
    def tokens(self) -> "array[int]":
        """Everything it has, prompt and answer."""
        return array("i", self.request.tokens) + self.generated

    def tail(self, start: int) -> "array[int]":
        """Of everything, the tokens from `start` on."""
        n_prompt = len(self.request.tokens)
        if start >= n_prompt:
            return self.generated[start - n_prompt :]
        return array("i", self.request.tokens[start:]) + self.generated

    @property
    def n_tokens(self) -> int:
        """How many that are."""
        return len(self.request.tokens) + self.n_generated

    @property
    def n_cells(self) -> int:
        """Tokens that its lane has to hold for it to go on by one."""
        return self.n_tokens + 1

    @property
    def is_reading(self) -> bool:
        """Part of the prompt is not in the cache yet."""
        return self.n_read < len(self.prompt)

    @property
    def position(self) -> int:
        """Where the last sampled token goes in the cache."""
        return self.n_tokens - 1

    @property
    def prompt_state(self) -> PromptState:
        """For the scheduler."""
        return PromptState(self.lane, self.n_read, len(self.prompt))

    @property
    def n_left(self) -> int:
        """Tokens that may still be generated."""
        n_left = self.n_ctx - self.n_tokens
        max_tokens = self.request.limits.max_tokens
        return n_left if max_tokens is None else min(n_left, max_tokens - self.n_generated)

    @property
    def is_at_limit(self) -> bool:
        """No further token may be generated."""
        return self.n_left <= 0

    def add(self, token: int, now_s: float) -> None:
        """Take a token that was sampled."""
        self.n_generated += 1
        self.generated.append(token)
        self.last_token = token
        if self.drafter is not None:
            self.drafter.feed(token)
        if self.first_token_at_s is None:
            self.first_token_at_s = now_s

    def ready_drafter(self, trust: float, *, guesses: bool) -> Drafter:
        """The drafter, which knows all tokens until now; `trust` is that in the draft model."""
        if self.drafter is None:
            request = self.request
            self.drafter = Drafter(
                request.tokens, request.prediction, request.constraint, trust, guesses=guesses
            )
            for token in self.generated:
                self.drafter.feed(token)
        return self.drafter

    def resume(self, lane: int, n_held: int) -> None:
        """Go on in a lane that holds the first `n_held` of its `tokens`; the last is not needed."""
        self.lane = lane
        n_prompt = len(self.request.tokens)
        is_whole = self.n_generated > 0 and n_held >= self.n_tokens - 1
        self._read_again = self.tokens if self.n_generated and not is_whole else None
        self.n_read = n_prompt if is_whole else n_held

    def finished(
        self,
        reason: FinishReason,
        now_s: float,
        *,
        text: str = "",
        held_bytes: bytes = b"",
    ) -> Finished:
        """The event that ends the request.

        Args:
            reason: Why it is over.
            now_s: When.
            text: What has passed the stop strings and was not said yet.
            held_bytes: UTF-8 that the lane held back, behind it.
        """
        text += self.stops.feed(held_bytes.decode()).text + self.stops.flush()
        return Finished(
            request_id=self.request.request_id,
            text=text,
            finish=self._finish(reason, now_s),
        )

    def _finish(self, reason: FinishReason, now_s: float) -> FinishEvent:
        use = PredictionUse() if self.drafter is None else self.drafter.prediction_use
        first = self.first_token_at_s if self.first_token_at_s is not None else now_s
        return FinishEvent(
            reason=reason,
            usage=Usage(
                prompt_tokens=len(self.request.tokens),
                completion_tokens=self.n_generated,
                cached_tokens=self.n_cached,
                accepted_prediction_tokens=use.n_accepted,
                rejected_prediction_tokens=use.n_rejected,
            ),
            timings=Timings(
                queue_s=self.started_at_s - self.submitted_at_s,
                prompt_s=first - self.started_at_s,
                decode_s=now_s - first,
            ),
        )
