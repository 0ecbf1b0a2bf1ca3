"""From what an answer has to look like to the tokens that may come next, with llguidance.

Fail closed: what the compiler does not follow to the letter is refused, and an answer that it
cannot continue ends in an error, never in text that is not what was asked for.
"""

import re
import time
from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
from llguidance import LLMatcher

from pyrunner import _native
from pyrunner.chat.compiled import CompiledGrammars
from pyrunner.chat.gbnf import to_lark
from pyrunner.chat.matching import TokenConstraint, new_matcher, problem_of, short
from pyrunner.chat.schema import Problem, locate, parse_schema
from pyrunner.chat.vocabulary import Vocabulary
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

_JSON: "JsonCompileOptions" = {
    "lenient": False,  # a schema could turn it on
    "coerce_one_of": False,
    "item_separator": ",",
    "key_separator": ":",
    # As llama.cpp's grammars have it: without an end to white space a model may never get out.
    "whitespace_pattern": r"( |\n[ \t]{0,20})",
    "whitespace_flexible": True,
}
_LARK_LINE = re.compile(r"[ \t]*+(?:%llguidance\b|start[ \t]*+:(?!:=))")


class Grammars:
    """Output formats for the vocabulary of one model. The prompt thread alone uses it.

    Args:
        model: Loaded.
        visible: See `Vocabulary`.
    """

    def __init__(self, model: _native.Model, visible: Collection[int] = ()) -> None:
        self._model = model
        self._visible = visible
        self.compiled = CompiledGrammars()

    def constraint(self, output: OutputFormat) -> TokenConstraint:
        """Compile a format for one answer.

        Raises:
            InvalidParameterError: It breaks a limit, or asks for what cannot be guaranteed; names
                the place.
        """
        vocabulary = self.vocabulary  # once for all answers, and not to be blamed on this one
        matcher = self.compiled.copy((output.kind, output.text), lambda: self._compile(output))
        return TokenConstraint(matcher, output.param, vocabulary)

    def embedded_schema(self, output: OutputFormat) -> str:
        """Check a JSON schema, and write it as ``%json`` in a grammar needs it.

        Raises:
            InvalidParameterError: As from `constraint`.
        """
        self._schema_matcher(output)
        schema = msgspec.json.decode(output.text, type=dict[str, object])
        return msgspec.json.encode({"x-guidance": _JSON, **schema}).decode()

    def _compile(self, output: OutputFormat) -> LLMatcher:
        started_s = time.monotonic()
        if output.kind is OutputKind.JSON_SCHEMA:
            matcher = self._schema_matcher(output)
        else:
            matcher = self._text_matcher(output)
        # With the first mask, which is in every copy then.
        TokenConstraint(matcher, output.param, self.vocabulary)
        if time.monotonic() - started_s > MAX_COMPILE_S:
            raise _refused(output, "it is too complex")
        return matcher

    def _text_matcher(self, output: OutputFormat) -> LLMatcher:
        _check_text(output)
        if output.kind is OutputKind.REGEX:
            matcher = self._matcher(LLMatcher.grammar_from_regex(output.text))
        else:
            matcher = self._matcher(LLMatcher.grammar_from_lark(_lark(output)))
        problem = problem_of(matcher)
        if problem:
            raise _refused(output, problem)
        return matcher

    def _schema_matcher(self, output: OutputFormat) -> LLMatcher:
        schema = parse_schema(output.text)
        if isinstance(schema, Problem):
            raise _refused(output, f"{schema.path}: {schema.what}")
        matcher = self._matcher(_from_schema(schema))
        problem = problem_of(matcher)
        if problem:
            path = self._place(schema, problem)
            raise _refused(output, f"{path}: {problem}")
        return matcher

    def _place(self, schema: dict[str, object], problem: str) -> str:
        ends_s = time.monotonic() + MAX_LOCATE_S
        return locate(
            schema,
            problem,
            what_fails=lambda part: problem_of(self._matcher(_from_schema(part))),
            is_late=lambda: time.monotonic() >= ends_s,
        )

    def _matcher(self, grammar: str) -> LLMatcher:
        return new_matcher(self.vocabulary, grammar)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Made with the first format."""
        return Vocabulary(self._model, self._visible)


def _from_schema(schema: dict[str, object]) -> str:
    return LLMatcher.grammar_from_json_schema(msgspec.json.encode(schema).decode(), overrides=_JSON)


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
        param=output.param, problem=f"cannot be followed: {short(problem)}"
    )
