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
_NO_TOKENS = array("i", [0])  # a word of a mask


class TokenConstraint:
    """One answer on its way through a grammar; see `engine.constraint.Constraint`."""

    def __init__(self, matcher: LLMatcher, param: str, vocabulary: Vocabulary) -> None:
        self._matcher = matcher
        self._param = param
        self._vocabulary = vocabulary
        self.mask = self._next_mask()

    @property
    def is_complete(self) -> bool:
        """Nothing but the end can come."""
        return self._matcher.is_stopped()

    def forced(self) -> Sequence[int]:
        """Tokens of the only text that fits here, as the model's tokeniser would have them.

        llguidance's masks allow nothing else, so most places show at a glance that there are none.
        """
        if int.from_bytes(self.mask).bit_count() != 1:
            return ()
        # On a copy, which the question changes.
        return self._matcher.deep_copy().compute_ff_tokens()

    def masks_behind(self, draft: Sequence[int]) -> Sequence[memoryview]:
        """The masks behind each token of a draft, as far as it fits."""
        # On a copy, because a matcher that breaks a limit stays broken, and the answer may never
        # come to where a wrong draft leads.
        matcher = self._matcher.deep_copy()
        masks: list[memoryview] = []
        for token in draft:
            if not matcher.consume_token(token):
                break
            mask = self._mask_of(matcher)
            if mask is None:
                break
            masks.append(mask)
        return masks

    def accept(self, token: int) -> None:
        """Go on behind a token.

        Raises:
            InvalidParameterError: No token of the vocabulary fits, or to find it takes too long.
        """
        if token < 0 or not self._matcher.consume_token(token):
            raise self._failure()
        self.mask = self._next_mask()

    def _next_mask(self) -> memoryview:
        mask = self._mask_of(self._matcher)
        if mask is None:
            raise self._failure()
        return mask

    def _mask_of(self, matcher: LLMatcher) -> memoryview | None:
        """What may come next; None when it is not to be had within the limits."""
        words = _NO_TOKENS * self._vocabulary.n_mask_words
        address, n_words = words.buffer_info()
        # SAFETY(chat): the call writes before it returns, and refuses any size but that of a mask
        # of its vocabulary; nobody else has the words yet. compute_bitmask() would make copies.
        matcher.unsafe_compute_mask_ptr(address, n_words * words.itemsize)
        for end, spelled in self._vocabulary.visible_ends.items():
            if not _may_end(matcher, end, spelled):
                forbid(words, end)
        return None if matcher.is_error() else memoryview(words)

    def _failure(self) -> InvalidParameterError:
        why = short(self._matcher.get_error())
        if not why or why.startswith("NoExtension"):
            why = "nothing that this model can say matches it"
        return InvalidParameterError(
            param=self._param, problem=f"cannot be followed to its end: {why}"
        )


def new_matcher(vocabulary: Vocabulary, grammar: str) -> LLMatcher:
    """Compile what llguidance's `grammar_from_...` give; `problem_of` says how it went."""
    # It catches its own panics, which llguidance's validating functions do not.
    return LLMatcher(vocabulary.tokenizer, grammar, log_level=0, limits=_LIMITS)


def forbid(words: "array[int]", token: int) -> None:
    """Take a token out of a mask of 32-bit words with a sign."""
    place, bit = divmod(token, 32)
    words[place] &= ~(1 << bit) if bit < 31 else (1 << bit) - 1


def _may_end(matcher: LLMatcher, end: int, spelled: list[int]) -> bool:
    """Whether the answer may end here, or behind the text of the token that ends it.

    A mask has the token wherever its letters fit, also inside a string.
    """
    return matcher.is_accepting() or (matcher.validate_tokens([*spelled, end]) == len(spelled) + 1)


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
