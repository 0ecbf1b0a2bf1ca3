"""Which running sequences get a draft in the next step, and what came of it.

A sequence has a `Drafter`; the loop has one `Speculation`. Both for the loop's thread.
"""

import enum
from collections.abc import Mapping
from collections.abc import Sequence as Tokens
from dataclasses import dataclass
from typing import NamedTuple

from pyrunner.engine.constraint import Constraint
from pyrunner.engine.draft_length import (
    LENGTHS,
    Acceptance,
    Candidate,
    PassCosts,
    choose_length,
    is_one_pass,
)
from pyrunner.engine.drafts import Prediction, PromptLookup

N_DRAFTS = 64
"""Rows of drafts in one step at most; each may need a row of logits."""


class Source(enum.Enum):
    """Where a draft comes from; the value is how often it is right until that is known."""

    FORCED = 0.95
    """Nothing else fits the grammar of the answer; the model may say it in other tokens."""
    PREDICTED = 0.8
    """The client expects it."""
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
    """

    def __init__(
        self, prompt: Tokens[int], prediction: Tokens[int], constraint: Constraint | None
    ) -> None:
        self.prediction_use = PredictionUse()
        self._lookup = PromptLookup(prompt)
        self._prediction = Prediction(prediction) if prediction else None
        self._constraint = constraint
        self._acceptances = {source: Acceptance(source.value) for source in Source}

    def feed(self, token: int) -> None:
        """The answer goes on with a token."""
        use = self.prediction_use
        if use.n_unsaid:
            use.n_unsaid -= 1
            use.n_rejected -= 1
            use.n_accepted += 1
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
        if earlier := self._lookup.guess(n_most):
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
        return self._acceptances[source].rate

    def note(self, draft: Draft | None, n_accepted: int) -> None:
        """A step is over: what was read of a draft and what was right, or that there was none."""
        if draft is None:
            for acceptance in self._acceptances.values():
                acceptance.note_none()
            return
        self._acceptances[draft.source].note(len(draft.tokens), n_accepted)
        if draft.source is Source.PREDICTED:
            self.prediction_use.n_rejected += len(draft.tokens)
            self.prediction_use.n_unsaid = n_accepted


class Speculation:
    """Chooses drafts by what passes take on this machine."""

    def __init__(self) -> None:
        self._costs = PassCosts()

    def drafts(
        self, drafters: Mapping[int, tuple[Drafter, int]], n_running: int
    ) -> dict[int, Draft]:
        """What to read beside the last tokens.

        Args:
            drafters: By lane, with how many tokens its draft may have.
            n_running: Running sequences, at least as many.

        Returns:
            By lane; none where going on without is faster.
        """
        found: dict[int, Draft] = {}
        candidates = []
        for lane, (drafter, n_most) in drafters.items():
            draft = drafter.guess(min(n_most, LENGTHS[-1]))
            if draft is not None:
                found[lane] = draft
                candidates.append(Candidate(len(draft.tokens), drafter.rate(draft.source)))
        length = choose_length(n_running, candidates, self._costs, N_DRAFTS)
        if length == 0:
            return {}
        cut = {lane: drafters[lane][0].cut(draft, length) for lane, draft in found.items()}
        return {lane: draft for lane, draft in cut.items() if draft.tokens}

    def note_pass(self, n_running: int, drafts: Mapping[int, Draft], seconds: float) -> None:
        """What a pass over running sequences took, without anything else in the step."""
        lengths = [len(draft.tokens) for draft in drafts.values()]
        if is_one_pass(n_running, lengths):
            self._costs.note(n_running + sum(lengths), seconds)
            return
        rest_s = seconds - self._costs.expected_s(n_running)
        if rest_s > 0:  # else the first of the two was faster than usual, and that is all
            self._costs.note(sum(lengths), rest_s)
