"""From what an answer has to look like to the tokens that may come next, with llguidance.

Fail closed: what the compiler does not follow to the letter is refused, and an answer that it
cannot continue ends in an error, never in text that is not what was asked for.
"""

import re
import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from pyrunner import _native
from pyrunner.chat.gbnf import to_lark
from pyrunner.chat.schema import Problem, locate, parse_schema
from pyrunner.errors import InvalidParameterError
from pyrunner.types import OutputFormat, OutputKind

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

MAX_GRAMMAR_BYTES = 16 * 1024
"""Of a grammar or a regular expression. Compiling ``a?a?a?...`` takes time in the square of it."""
MAX_GRAMMAR_RULES = 256
"""Lines with a colon in one."""
MAX_GRAMMAR_BRACKETS = 1000
"""In one, those in its texts counted too. With its rules they are the levels that may be inside
each other: of 4000 the compiler dies, with the worker."""
MAX_GRAMMAR_DEPTH = 64
"""Brackets inside each other in one, those in its strings counted too."""
MAX_COMPILE_S = 5.0
"""A format that took longer is refused afterwards, because every token could take as long."""
MAX_LOCATE_S = 1.0
"""For the place of a refusal in a schema; without one it is the whole schema."""

_LIMITS = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,  # of one token
    step_max_items=50_000,
    max_lexer_states=15_000,  # 1 to 2 kB each, of one answer
    max_grammar_size=500_000,
    verbose_errors=False,  # they would go to the client
)
_JSON: "JsonCompileOptions" = {
    "lenient": False,  # a schema could turn it on
    "coerce_one_of": False,
    "item_separator": ",",
    "key_separator": ":",
    # As llama.cpp's grammars have it: without an end to white space a model may never get out.
    "whitespace_pattern": r"( |\n[ \t]{0,20})",
    "whitespace_flexible": True,
}
_LONGEST_PROBLEM = 300
_LARK_LINE = re.compile(r"[ \t]*+(?:%llguidance\b|start[ \t]*+:(?!:=))")


class TokenConstraint:
    """One answer on its way through a grammar; see `engine.constraint.Constraint`."""

    def __init__(self, matcher: LLMatcher, param: str, n_words: int) -> None:
        self._matcher = matcher
        self._param = param
        self._n_words = n_words
        self.mask = self._next_mask()

    @property
    def is_complete(self) -> bool:
        """Nothing but the end can come."""
        return self._matcher.is_stopped()

    def forced(self) -> Sequence[int]:
        """Tokens of the only text that fits here, as the model's tokeniser would have them."""
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
        words = memoryview(matcher.compute_bitmask()).cast("i")[: self._n_words]
        return None if matcher.is_error() else words

    def _failure(self) -> InvalidParameterError:
        why = _short(self._matcher.get_error())
        if not why or why.startswith("NoExtension"):
            why = "nothing that this model can say matches it"
        return InvalidParameterError(
            param=self._param, problem=f"cannot be followed to its end: {why}"
        )


class Grammars:
    """Output formats for the vocabulary of one model. The prompt thread alone uses it."""

    def __init__(self, model: _native.Model) -> None:
        self._model = model

    def constraint(self, output: OutputFormat) -> TokenConstraint:
        """Compile a format for one answer.

        Raises:
            InvalidParameterError: It breaks a limit, or asks for what cannot be guaranteed; names
                the place.
        """
        started_s = time.monotonic()
        if output.kind is OutputKind.JSON_SCHEMA:
            matcher = self._schema_matcher(output)
        else:
            matcher = self._text_matcher(output)
        constraint = TokenConstraint(matcher, output.param, (self._model.n_vocab + 31) // 32)
        if time.monotonic() - started_s > MAX_COMPILE_S:
            raise _refused(output, "it is too complex")
        return constraint

    def _text_matcher(self, output: OutputFormat) -> LLMatcher:
        _check_text(output)
        if output.kind is OutputKind.REGEX:
            matcher = self._matcher(LLMatcher.grammar_from_regex(output.text))
        else:
            matcher = self._matcher(LLMatcher.grammar_from_lark(_lark(output)))
        problem = _problem(matcher)
        if problem:
            raise _refused(output, problem)
        return matcher

    def _schema_matcher(self, output: OutputFormat) -> LLMatcher:
        schema = parse_schema(output.text)
        if isinstance(schema, Problem):
            raise _refused(output, f"{schema.path}: {schema.what}")
        matcher = self._matcher(_from_schema(schema))
        problem = _problem(matcher)
        if problem:
            path = self._place(schema, problem)
            raise _refused(output, f"{path}: {problem}")
        return matcher

    def _place(self, schema: dict[str, object], problem: str) -> str:
        ends_s = time.monotonic() + MAX_LOCATE_S
        return locate(
            schema,
            problem,
            what_fails=lambda part: _problem(self._matcher(_from_schema(part))),
            is_late=lambda: time.monotonic() >= ends_s,
        )

    def _matcher(self, grammar: str) -> LLMatcher:
        # It catches its own panics, which llguidance's validating functions do not.
        return LLMatcher(self._tokenizer, grammar, log_level=0, limits=_LIMITS)

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        # PERF(chat): once for a model, and llguidance holds the GIL meanwhile, longer in larger
        # vocabularies. The second half, which knows what JSON strings hold, makes masks cheaper.
        vocabulary = _Vocabulary(self._model)
        ends = self._model.end_of_generation_tokens
        if not ends:
            raise InvalidParameterError(
                param="model",
                problem="has no token that ends an answer, so none can be constrained",
            )
        tokenizer = LLTokenizer(
            TokenizerWrapper(vocabulary), n_vocab=self._model.n_vocab, eos_token=ends, slices=[]
        )
        vocabulary.fallback = tokenizer
        return tokenizer.with_slices(LLTokenizer.json_slices())


class _Vocabulary:
    """What llguidance asks of a tokenizer. The engine's thread calls it, too."""

    bos_token_id = None
    special_token_ids = ()

    def __init__(self, model: _native.Model) -> None:
        self._model = model
        # The bytes a token adds to an answer, so none for control tokens, which then never fit.
        self.tokens = [model.detokenize([token]) for token in range(model.n_vocab)]
        self.eos_token_id = next(iter(model.end_of_generation_tokens), 0)
        self.fallback: LLTokenizer | None = None

    def __call__(self, text: bytes) -> list[int]:
        """The tokens that the model itself would have for a text that the grammar forces."""
        tokens = self._model.tokenize(text.decode("utf-8", "replace"), add_special=False)
        if b"".join(self.tokens[token] for token in tokens) == text or self.fallback is None:
            return tokens
        # Tokenisers that put a space in front, or bytes that are no characters.
        return self.fallback.greedy_tokenize(text.decode("utf-8", "replace"))


def _from_schema(schema: dict[str, object]) -> str:
    return LLMatcher.grammar_from_json_schema(msgspec.json.encode(schema).decode(), overrides=_JSON)


def _problem(matcher: LLMatcher) -> str:
    if matcher.is_error():
        error = matcher.get_error()
        return "its compiler fails" if error.startswith("panic") else error
    # A warning says that something is ignored.
    return next(iter(matcher.get_grammar_warnings()), "")


def _check_text(output: OutputFormat) -> None:
    if len(output.text.encode()) > MAX_GRAMMAR_BYTES:
        raise _refused(output, f"it is longer than {MAX_GRAMMAR_BYTES} bytes")
    depth = 0
    for character in output.text:
        depth += (character in "([{") - (character in ")]}" and depth > 0)
        if depth > MAX_GRAMMAR_DEPTH:
            raise _refused(output, f"it nests deeper than {MAX_GRAMMAR_DEPTH} brackets")


def _lark(output: OutputFormat) -> str:
    lines = output.text.splitlines()
    if sum(":" in line for line in lines) > MAX_GRAMMAR_RULES:
        raise _refused(output, f"it has more than {MAX_GRAMMAR_RULES} rules (lines with a colon)")
    if output.text.count("(") + output.text.count("[") > MAX_GRAMMAR_BRACKETS:
        raise _refused(output, f"it has more than {MAX_GRAMMAR_BRACKETS} brackets")
    if any(_LARK_LINE.match(line) for line in lines):
        if "%json" in output.text:  # nobody would have checked its schema; texts and comments too
            raise _refused(output, "'%json' in a grammar is not supported; give a schema instead")
        return output.text
    if "::=" not in output.text:
        raise _refused(output, "it is neither GBNF nor Lark: no rule is defined with '::='")
    try:
        return to_lark(output.text)
    except ValueError as error:
        raise _refused(output, str(error)) from error


def _refused(output: OutputFormat, problem: str) -> InvalidParameterError:
    return InvalidParameterError(
        param=output.param, problem=f"cannot be followed: {_short(problem)}"
    )


def _short(problem: str) -> str:
    return " ".join(problem.removesuffix("<non-verbose/>").split())[:_LONGEST_PROBLEM]
