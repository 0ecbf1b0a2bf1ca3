"""Which running sequences get a draft in the next step, and what came of it.

A sequence has a `Drafter`; the loop has one `Speculation`. Both for the loop's thread.
"""

import enum
from collections.abc import Callable, Collection, Mapping
from collections.abc import Sequence as Tokens
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from pyrunner import log
from pyrunner.engine.constraint import Constraint
from pyrunner.engine.draft_length import (
    LENGTHS,
    Acceptance,
    Candidate,
    Choice,
    PassCosts,
    choose,
    choose_length,
    is_one_pass,
)
from pyrunner.engine.drafts import Prediction, PromptLookup
from pyrunner.engine.guesser import Guessable, Guesser
from pyrunner.engine.request import GenerationRequest
from pyrunner.errors import NativeError

_logger = log.get("engine")
_T = TypeVar("_T")

N_DRAFTS = 64
"""Rows of drafts in one step at most; each may need a row of logits."""
N_FORCED = 16
"""The same where nothing is drafted but what is forced."""


class Source(enum.Enum):
    """Where a draft comes from; the value is how often it is right until that is known."""

    FORCED = 1.0
    """Nothing else fits the grammar of the answer."""
    PREDICTED = 0.8
    """The client expects it."""
    DRAFTED = 0.6
    """A draft model says so, or the model's own heads."""
    LOOKED_UP = 0.4
    """It stood behind the same tokens before."""


class Draft(NamedTuple):
    """Tokens that may come next."""

    tokens: Tokens[int]
    source: Source
    masks: Tokens[memoryview | None] = ()
    """What may be said behind each token, where the answer has a constraint; None is anything."""


NO_DRAFT = Draft((), Source.LOOKED_UP)


@dataclass(slots=True)
class PredictionUse:
    """What became of the client's prediction."""

    n_accepted: int = 0
    n_rejected: int = 0
    n_unsaid: int = 0
    """Of the rejected: right, and the answer has not come to them yet."""


class Drafter:
    """Guesses for one sequence.

    Args:
        prompt: Its tokens.
        prediction: What the client expects the answer to be; empty when it said nothing.
        constraint: What the answer has to follow.
        trust: How often the guesser has been right lately.
        guesses: False drafts what the constraint leaves no choice about, and nothing else.
    """

    def __init__(
        self,
        prompt: Tokens[int],
        prediction: Tokens[int],
        constraint: Constraint | None,
        trust: float = Source.DRAFTED.value,
        *,
        guesses: bool = True,
    ) -> None:
        self.prediction_use = PredictionUse()
        self._lookup = PromptLookup(prompt) if guesses else None
        self._prediction = Prediction(prediction) if prediction and guesses else None
        self._constraint = constraint
        self._acceptances = {source: Acceptance(source.value) for source in Source}
        self._acceptances[Source.DRAFTED] = Acceptance(trust)
        self._n_undrafted = 0  # passes without a draft that `_acceptances` does not know of

    def feed(self, token: int) -> None:
        """The answer goes on with a token."""
        use = self.prediction_use
        if use.n_unsaid:
            use.n_unsaid -= 1
            use.n_rejected -= 1
            use.n_accepted += 1
        if self._lookup is not None:
            self._lookup.feed(token)
        if self._prediction is not None:
            self._prediction.feed(token)

    def guess(self, n_most: int) -> Draft | None:
        """The likeliest continuation, of at most `n_most` tokens; None without any idea."""
        if n_most < 1:
            return None
        if self._constraint is not None and (forced := self._constraint.forced()):
            return Draft(forced[:n_most], Source.FORCED)
        if self._prediction is not None and (expected := self._prediction.guess(n_most)):
            return Draft(expected, Source.PREDICTED)
        if self._lookup is not None and (earlier := self._lookup.guess(n_most)):
            return Draft(earlier, Source.LOOKED_UP)
        return None

    def cut(self, draft: Draft, n_most: int) -> Draft:
        """As much of a draft as is wanted and fits the constraint, with its masks."""
        tokens = draft.tokens[:n_most]
        if self._constraint is None:
            return Draft(tokens, draft.source)
        masks = self._constraint.masks_behind(tokens)
        return Draft(tokens[: len(masks)], draft.source, masks)

    def rate(self, source: Source) -> float:
        """The chance that a guess is right."""
        return self._acceptance(source).rate

    def note_wrong(self, source: Source) -> None:
        """A guess that nobody read, because the first token of it could not be."""
        self._acceptance(source).note(1, 0)

    def note(self, draft: Draft | None, n_accepted: int) -> None:
        """A step is over: what was read of a draft and what was right, or that there was none."""
        if draft is None:
            self._n_undrafted += 1
            return
        self._acceptance(draft.source).note(len(draft.tokens), n_accepted)
        if draft.source is Source.PREDICTED:
            self.prediction_use.n_rejected += len(draft.tokens)
            self.prediction_use.n_unsaid = n_accepted

    def _acceptance(self, source: Source) -> Acceptance:
        if self._n_undrafted:
            for acceptance in self._acceptances.values():
                acceptance.note_none(self._n_undrafted)
            self._n_undrafted = 0
        return self._acceptances[source]


class Speculation:
    """Chooses drafts by what passes take on this machine.

    Args:
        guesser: A draft model, or the model's own heads, where there is one of them.
        guesses: False drafts what constraints leave no choice about, and nothing else.
        is_even: All drafts of a step have to be equally long.
    """

    def __init__(
        self, guesser: Guesser | None = None, *, guesses: bool = True, is_even: bool = False
    ) -> None:
        self.guesses = guesses
        self._n_drafts = N_DRAFTS if guesses else N_FORCED
        self._is_even = is_even
        self._costs = PassCosts()
        self._guesser = guesser
        self._trust = Acceptance(Source.DRAFTED.value)

    @property
    def lanes_bytes(self) -> int:
        """Memory of the guesser's cells."""
        return 0 if self._guesser is None else self._guesser.lanes_bytes

    @property
    def trust(self) -> float:
        """How often the guesser is right, whatever the sequence."""
        return self._trust.rate

    def is_for(self, request: GenerationRequest) -> bool:
        """Whether there may be drafts for a request."""
        return self.guesses or request.constraint is not None

    def drafts(
        self,
        drafters: Mapping[int, tuple[Drafter, int]],
        n_running: int,
        texts: Mapping[int, Guessable] | None = None,
    ) -> dict[int, Draft]:
        """What to read beside the last tokens.

        Args:
            drafters: By lane, with how many tokens its draft may have.
            n_running: Running sequences, at least as many.
            texts: By lane, for the guesser.

        Returns:
            By lane; none where going on without is faster.
        """
        found: dict[int, Draft] = {}
        for lane, (drafter, n_most) in drafters.items():
            draft = drafter.guess(min(n_most, LENGTHS[-1]))
            if draft is not None:
                found[lane] = draft
        if texts and self._guesser is not None:
            nothing: dict[int, Draft] = {}
            found |= self._asked(
                lambda guesser: self._drafted(guesser, drafters, texts, found, n_running), nothing
            )
        if not found:
            return {}
        candidates = [_candidate(drafters[lane][0], draft) for lane, draft in found.items()]
        length = choose_length(n_running, candidates, self._costs, self._n_drafts)
        if length == 0:
            return {}
        cut = {lane: drafters[lane][0].cut(draft, length) for lane, draft in found.items()}
        for lane, draft in cut.items():
            if draft.source is Source.DRAFTED and not draft.tokens:
                self._note_useless(drafters[lane][0])
        said = {lane: draft for lane, draft in cut.items() if draft.tokens}
        return _evened(said) if self._is_even else said

    def note(self, drafter: Drafter, draft: Draft | None, n_accepted: int) -> None:
        """A step is over for a sequence; see `Drafter.note`."""
        drafter.note(draft, n_accepted)
        if self._guesser is None:
            return
        if draft is not None and draft.source is Source.DRAFTED:
            self._trust.note(len(draft.tokens), n_accepted)
        else:
            self._trust.note_none()

    def note_step(self, n_running: int, drafts: Mapping[int, Draft], seconds: float | None) -> None:
        """A step of the session is over.

        Args:
            n_running: Running sequences of it.
            drafts: Of them, by lane.
            seconds: What it took; None where it did not take it for these alone.
        """
        if seconds is not None:
            self.note_pass(n_running, drafts, seconds)
        if self._guesser is not None:
            self._asked(lambda guesser: guesser.note_step(), None)

    def note_pass(self, n_running: int, drafts: Mapping[int, Draft], seconds: float) -> None:
        """What a pass over running sequences took, without anything else in the step."""
        if not drafts:
            self._costs.note(n_running, seconds)
            return
        lengths = [len(draft.tokens) for draft in drafts.values()]
        if is_one_pass(n_running, lengths):
            self._costs.note(n_running + sum(lengths), seconds)
            return
        rest_s = seconds - self._costs.expected_s(n_running)
        if rest_s > 0:  # else the first of the two was faster than usual, and that is all
            self._costs.note(sum(lengths), rest_s)

    def _asked(self, ask: Callable[[Guesser], _T], otherwise: _T) -> _T:
        """What the guesser says, while there is one."""
        if self._guesser is None:
            return otherwise
        try:
            return ask(self._guesser)
        except NativeError as error:
            # It is there to save time, and nothing depends on it.
            _logger.warning("going on without %s: %s", self._guesser.name, error)
            self._guesser = None
            return otherwise

    def _drafted(
        self,
        guesser: Guesser,
        drafters: Mapping[int, tuple[Drafter, int]],
        texts: Mapping[int, Guessable],
        found: Mapping[int, Draft],
        n_running: int,
    ) -> dict[int, Draft]:
        """What the guesser says, where asking it promises more than what was found."""
        guesser.follow(texts.values())
        without = [_candidate(drafters[lane][0], draft) for lane, draft in found.items()]
        kept = {lane: draft for lane, draft in found.items() if _is_kept(drafters[lane][0], draft)}
        asking = {
            texts[lane]: (drafter, n)
            for lane, (drafter, n_most) in drafters.items()
            if lane not in kept
            and (n := min(n_most, guesser.n_room(texts[lane]), guesser.n_most)) > 0
        }
        if not asking:
            return {}
        best = choose(n_running, without, self._costs, self._n_drafts)
        beside = [_candidate(drafters[lane][0], draft) for lane, draft in kept.items()]

        def promise(chosen: Collection[Guessable]) -> Choice:
            candidates = [
                Candidate(asking[text][1], asking[text][0].rate(Source.DRAFTED)) for text in chosen
            ]
            return choose(
                n_running,
                beside + candidates,
                self._costs,
                self._n_drafts,
                lambda length: guesser.drafting_s(len(chosen), min(length, guesser.n_most)),
            )

        near = guesser.select(asking)
        guesser.catch_up([each for each in asking if each not in near], best, promise(asking))
        choice = promise(near) if near else best
        if choice.length == 0 or choice.rate <= best.rate:
            guesser.note_none()
            return {}
        said = guesser.guess({text: min(asking[text][1], choice.length) for text in near})
        for text, tokens in said.items():
            if not tokens:
                self._note_useless(asking[text][0])
        return {
            lane: Draft(said[text], Source.DRAFTED)
            for lane, text in texts.items()
            if said.get(text)
        }

    def _note_useless(self, drafter: Drafter) -> None:
        """The guesser was asked and said nothing that could be read."""
        drafter.note_wrong(Source.DRAFTED)
        self._trust.note(1, 0)


def _evened(drafts: Mapping[int, Draft]) -> dict[int, Draft]:
    """Drafts of one length, that with which most of their tokens stay."""
    lengths = [len(draft.tokens) for draft in drafts.values()]
    counts = {length: sum(length <= each for each in lengths) for length in lengths}
    length = max(counts, key=lambda n: (n * counts[n], counts[n]), default=0)
    return {
        lane: Draft(draft.tokens[:length], draft.source, draft.masks[:length])
        for lane, draft in drafts.items()
        if len(draft.tokens) >= length
    }


def _candidate(drafter: Drafter, draft: Draft) -> Candidate:
    return Candidate(len(draft.tokens), drafter.rate(draft.source))


def _is_kept(drafter: Drafter, draft: Draft) -> bool:
    """Whether a draft that costs nothing is better than one of the guesser."""
    is_lookup = draft.source is Source.LOOKED_UP
    return not is_lookup or drafter.rate(draft.source) >= drafter.rate(Source.DRAFTED)
