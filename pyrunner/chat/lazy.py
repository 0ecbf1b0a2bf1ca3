"""An answer that has to follow a grammar from where a trigger comes."""

import copy
from collections.abc import Sequence

from llguidance import LLMatcher

from pyrunner.chat.matching import TokenConstraint
from pyrunner.chat.trigger import TriggerSearch
from pyrunner.chat.vocabulary import Vocabulary
from pyrunner.errors import InvalidParameterError


class LazyConstraint:
    """One answer, free until a trigger comes; see `engine.constraint.Constraint`.

    Args:
        matcher: The grammar of what begins with the trigger. Nobody else uses it.
        search: At the beginning of the answer.
        vocabulary: Of the model.
        is_promised: An answer that cannot follow the grammar where it begins is an error, as it is
            later in any case. Otherwise it stays free; it need not be a call at all.
    """

    def __init__(
        self,
        matcher: LLMatcher,
        search: TriggerSearch,
        vocabulary: Vocabulary,
        *,
        is_promised: bool,
    ) -> None:
        self._matcher = matcher
        self._search: TriggerSearch | None = search
        self._vocabulary = vocabulary
        self._is_promised = is_promised
        self._begun: TokenConstraint | None = None

    @property
    def mask(self) -> memoryview | None:
        """None, which is anything, until the trigger has come."""
        return None if self._begun is None else self._begun.mask

    @property
    def is_complete(self) -> bool:
        """Nothing but the end can come."""
        return self._begun is not None and self._begun.is_complete

    def forced(self) -> Sequence[int]:
        """Tokens of the only text that fits here."""
        return () if self._begun is None else self._begun.forced()

    def masks_behind(self, draft: Sequence[int]) -> Sequence[memoryview | None]:
        """The masks behind each token of a draft, as far as it fits; a trigger may be in it."""
        if self._begun is not None:
            return self._begun.masks_behind(draft)
        ahead = self._copy()
        masks: list[memoryview | None] = []
        for token in draft:
            try:
                ahead.accept(token)
            except InvalidParameterError:
                break
            masks.append(ahead.mask)
        return masks

    def accept(self, token: int) -> None:
        """Go on behind a token.

        Raises:
            InvalidParameterError: The call that has begun cannot be continued; or, before, there
                was no token to choose from.
        """
        if self._begun is not None:
            self._begun.accept(token)
            return
        if token < 0:
            raise InvalidParameterError(
                param="logit_bias", problem="leaves no token to choose from"
            )
        if self._search is None:
            return
        call = self._search.feed(self._vocabulary.pieces[token])
        if call is not None:
            self._begin(call)

    def _begin(self, call: bytes) -> None:
        # What was said in other tokens than these is the same text, and the grammar knows no more.
        matcher = self._matcher.deep_copy()
        matcher.consume_tokens(self._vocabulary.tokenizer.tokenize_bytes(call))
        try:
            self._begun = TokenConstraint(matcher, "tools", self._vocabulary)
        except InvalidParameterError:
            if self._is_promised:
                raise
            self._search = None

    def _copy(self) -> "LazyConstraint":
        copied = copy.copy(self)
        copied._search = None if self._search is None else self._search.copy()  # noqa: SLF001 - own
        return copied
