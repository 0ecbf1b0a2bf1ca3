"""One answer on its way through what llguidance has compiled."""

from array import array
from collections.abc import Sequence

from llguidance import LLMatcher, LLParserLimits

from pyrunner.chat.vocabulary import Vocabulary
from pyrunner.errors import InvalidParameterError

_LIMITS = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,  # of one token
    step_max_items=50_000,
    max_lexer_states=15_000,  # 1 to 2 kB each, of one answer
    max_grammar_size=500_000,
    verbose_errors=False,  # they would go to the client
)
_LONGEST_PROBLEM = 300
_WORD_BITS = 32
_NO_TOKENS = array("i", [0])  # a word of a mask
_BITS = array("i", [*(1 << i for i in range(_WORD_BITS - 1)), -(1 << (_WORD_BITS - 1))])
"""Words of a mask that allow one token."""


class TokenConstraint:
    """One answer on its way through a grammar; see `engine.constraint.Constraint`."""

    def __init__(self, matcher: LLMatcher, param: str, n_words: int) -> None:
        self._way = _Way(matcher, n_words)
        self._param = param
        self.mask = self._next_mask()

    @property
    def is_complete(self) -> bool:
        """Nothing but the end can come."""
        return self._way.is_over

    def forced(self) -> Sequence[int]:
        """Tokens of the only text that fits here, as the model's tokeniser would have them."""
        return self._way.forced

    def masks_behind(self, draft: Sequence[int]) -> Sequence[memoryview]:
        """The masks behind each token of a draft, as far as it fits."""
        # On a copy, because a matcher that breaks a limit stays broken, and the answer may never
        # come to where a wrong draft leads.
        way = self._way.copy()
        masks: list[memoryview] = []
        for token in draft:
            if not way.go(token):
                break
            mask = way.mask()
            if mask is None:
                break
            masks.append(mask)
        return masks

    def accept(self, token: int) -> None:
        """Go on behind a token.

        Raises:
            InvalidParameterError: No token of the vocabulary fits, or to find it takes too long.
        """
        if token < 0 or not self._way.go(token):
            raise self._failure()
        self.mask = self._next_mask()

    def _next_mask(self) -> memoryview:
        mask = self._way.mask()
        if mask is None:
            raise self._failure()
        return mask

    def _failure(self) -> InvalidParameterError:
        why = short(self._way.error)
        if not why or why.startswith("NoExtension"):
            why = "nothing that this model can say matches it"
        return InvalidParameterError(
            param=self._param, problem=f"cannot be followed to its end: {why}"
        )


class _Way:
    """A place in a grammar, and the tokens of the text that is without a choice from there.

    Where there is such a text, no other tokens of it may be said: those are what the model learnt
    from, and they can be read at once.
    """

    def __init__(
        self, matcher: LLMatcher, n_words: int, forced: Sequence[int] | None = None
    ) -> None:
        self._matcher = matcher
        self._n_words = n_words
        self.forced = _forced(matcher) if forced is None else forced

    def copy(self) -> "_Way":
        """Another way from here."""
        return _Way(self._matcher.deep_copy(), self._n_words, self.forced)

    @property
    def is_over(self) -> bool:
        """Nothing but the end can come."""
        return self._matcher.is_stopped()

    @property
    def error(self) -> str:
        """Why it does not go on."""
        return self._matcher.get_error()

    def go(self, token: int) -> bool:
        """Go on behind a token; whether it fits."""
        if not self._matcher.consume_token(token):
            return False
        is_on_it = len(self.forced) > 1 and token == self.forced[0]
        self.forced = self.forced[1:] if is_on_it else _forced(self._matcher)
        return True

    def mask(self) -> memoryview | None:
        """What may come next; None when it is not to be had within the limits."""
        words = _NO_TOKENS * self._n_words
        if self.forced:
            i_word, i_bit = divmod(self.forced[0], _WORD_BITS)
            words[i_word] = _BITS[i_bit]
            return memoryview(words)
        address, n_words = words.buffer_info()
        # SAFETY(chat): the call writes before it returns, and refuses any size but that of a mask
        # of its vocabulary; nobody else has the words yet. compute_bitmask() would make copies.
        self._matcher.unsafe_compute_mask_ptr(address, n_words * words.itemsize)
        return None if self._matcher.is_error() else memoryview(words)


def _forced(matcher: LLMatcher) -> Sequence[int]:
    """Tokens of the only text that fits, as far as they are sure to."""
    # On a copy, which the question changes.
    tokens = matcher.deep_copy().compute_ff_tokens()
    return tokens[: matcher.validate_tokens(tokens)] if tokens else tokens


def new_matcher(vocabulary: Vocabulary, grammar: str) -> LLMatcher:
    """Compile what llguidance's `grammar_from_...` give; `problem_of` says how it went."""
    # It catches its own panics, which llguidance's validating functions do not.
    return LLMatcher(vocabulary.tokenizer, grammar, log_level=0, limits=_LIMITS)


def problem_of(matcher: LLMatcher) -> str:
    """Why it was not compiled to the letter; an empty string when it was."""
    if matcher.is_error():
        error = matcher.get_error()
        return "its compiler fails" if error.startswith("panic") else error
    # A warning says that something is ignored.
    return next(iter(matcher.get_grammar_warnings()), "")


def short(problem: str) -> str:
    """What a client is told of the compiler's words."""
    return " ".join(problem.removesuffix("<non-verbose/>").split())[:_LONGEST_PROBLEM]
