"""The grammar of tool calls: from the first character on, or from where a call begins."""

import re
import time
from collections.abc import Hashable, Mapping

from llguidance import LLMatcher

from pyrunner import _native
from pyrunner.chat.call_format import CallFormat
from pyrunner.chat.call_lark import call_lark
from pyrunner.chat.grammar import MAX_COMPILE_S, Grammars
from pyrunner.chat.lazy import LazyConstraint
from pyrunner.chat.matching import TokenConstraint, new_matcher, problem_of, short
from pyrunner.chat.schema import parse_schema
from pyrunner.chat.trigger import TriggerSearch
from pyrunner.chat.vocabulary import Vocabulary
from pyrunner.errors import InvalidParameterError, UnsupportedParameterError
from pyrunner.types import OutputFormat, OutputKind, Tool

MAX_CALL_GRAMMAR_BYTES = 256 * 1024
"""Of the grammar of all tools of a request, as llama.cpp writes it."""
MAX_CALL_RULES = 1500
"""In one. With its brackets they are the levels that may be inside each other."""
MAX_CALL_BRACKETS = 1500
MAX_VOCABULARIES = 2
"""Kept, of different visible tokens. A template has one set, unless its variables change it."""

_NO_ARGUMENTS = '{"type":"object","additionalProperties":false}'
_CONTENT = re.compile(r" until-\d+\? ")
"""In the rule of a whole answer: text that need not be there. It takes the white space along."""
_OWN_RULES = ("tool-call", "tool-calls", "tool-call-root")
"""Of llama.cpp, among those of the tools."""
_UNTOLD_TRIGGER = rb">>>(?!all)"
"""Functionary's: the prompt has its mark already, so that it never comes, and its grammar does not
have it."""
_UNNAMEABLE = re.compile(r"[^a-zA-Z0-9-]+")
"""What llama.cpp writes as a hyphen in the name of a rule."""


class CallGrammars:
    """Compiles formats of calls for one model. The prompt thread alone uses it."""

    def __init__(self, model: _native.Model) -> None:
        self._model = model
        self._grammars: dict[frozenset[int], Grammars] = {}  # the last one used last

    def constraint(self, calls: CallFormat) -> TokenConstraint | LazyConstraint:
        """Compile for one answer.

        Raises:
            InvalidParameterError: A strict tool asks for what cannot be guaranteed, which names
                the place; or the whole breaks a limit.
            UnsupportedParameterError: The model has no form of calls for this.
        """
        if not calls.grammar or (calls.is_lazy and calls.triggers == (_UNTOLD_TRIGGER,)):
            raise _without_grammar(calls)
        _check_size(calls.grammar)
        grammars = self._grammars_for(frozenset(calls.visible))
        vocabulary = grammars.vocabulary  # once for all answers, and not to be blamed on this one
        matcher = grammars.compiled.copy(_key(calls), lambda: _compiled(calls, grammars))
        if not calls.is_lazy:
            return TokenConstraint(matcher, "tools", vocabulary)
        search = TriggerSearch(calls.triggers, calls.thinking, calls.begun)
        return LazyConstraint(matcher, search, vocabulary, is_promised=calls.is_promised)

    def _grammars_for(self, visible: frozenset[int]) -> Grammars:
        grammars = self._grammars.pop(visible, None) or Grammars(self._model, visible)
        self._grammars[visible] = grammars
        while len(self._grammars) > MAX_VOCABULARIES:
            del self._grammars[next(iter(self._grammars))]
        return grammars


def _key(calls: CallFormat) -> Hashable:
    held = (calls.is_lazy, calls.is_required, calls.begun)
    return (calls.grammar, *held, tuple(calls.tools.items()))


def _compiled(calls: CallFormat, grammars: Grammars) -> LLMatcher:
    started_s = time.monotonic()
    schemas = _strict_schemas(calls, grammars)
    _check_names(calls)
    matcher = _begun(calls, _without_content(calls), schemas, grammars.vocabulary)
    if matcher.is_error():  # the prompt has begun the answer with content
        matcher = _begun(calls, calls.grammar, schemas, grammars.vocabulary)
    if matcher.is_error():
        raise _refused("the beginning of the answer in the prompt does not match it")
    if time.monotonic() - started_s > MAX_COMPILE_S:
        raise _refused("it is too complex")
    return matcher


def _begun(
    calls: CallFormat, grammar: str, schemas: Mapping[str, str], vocabulary: Vocabulary
) -> LLMatcher:
    """Where the answer begins; in error when it has begun with something else in the prompt."""
    matcher = new_matcher(vocabulary, LLMatcher.grammar_from_lark(_lark(grammar, schemas)))
    problem = problem_of(matcher)
    if problem:
        raise _refused(problem)
    if not calls.is_lazy:
        matcher.consume_tokens(vocabulary.tokenizer.tokenize_bytes(calls.begun))
    return matcher


def _without_content(calls: CallFormat) -> str:
    """A call that is required comes at once, but for a thought.

    With text in front of it, a model that has nothing to say but may not end goes on for ever, and
    a thought that is never closed would pass for such text.
    """
    lines = calls.grammar.split("\n")
    if not calls.is_required:
        return calls.grammar
    return "\n".join(
        _CONTENT.sub(" space ", line) if line.startswith("root ::=") else line for line in lines
    )


def _without_grammar(calls: CallFormat) -> UnsupportedParameterError:
    if calls.is_required:
        return UnsupportedParameterError(
            param="tool_choice", hint="The chat template of this model knows no tool calls."
        )
    strict = next((f"tools[{i_tool}].function.strict" for i_tool in calls.strict), "tools")
    return UnsupportedParameterError(
        param=strict,
        hint="Nothing marks where a call of this model begins; make it 'tool_choice' required.",
    )


def _strict_schemas(calls: CallFormat, grammars: Grammars) -> dict[str, str]:
    names = [f"tool-{_UNNAMEABLE.sub('-', tool.name)}-schema" for tool in calls.tools.values()]
    rules = {line.partition(" ")[0] for line in calls.grammar.split("\n")}
    schemas: dict[str, str] = {}
    for (i_tool, tool), rule in zip(calls.tools.items(), names, strict=True):
        if i_tool not in calls.strict:
            continue
        param = f"tools[{i_tool}].function"
        asked = OutputFormat(
            kind=OutputKind.JSON_SCHEMA, text=_parameters(tool), param=f"{param}.parameters"
        )
        _check_object(asked)
        schemas[rule] = grammars.embedded_schema(asked)
        if rule not in rules or names.count(rule) > 1:
            raise UnsupportedParameterError(
                param=f"{param}.strict",
                hint="The model's form of calls has no place for this tool's whole schema.",
            )
    return schemas


def _parameters(tool: Tool) -> str:
    # A tool without parameters has no arguments, as llama.cpp has it for those that are not strict.
    return _NO_ARGUMENTS if tool.parameters == "{}" else tool.parameters


def _check_object(asked: OutputFormat) -> None:
    schema = parse_schema(asked.text)
    if isinstance(schema, dict) and schema.get("type") != "object":
        raise InvalidParameterError(
            param=asked.param, problem="cannot be followed: #/type: arguments are of type object"
        )


def _check_size(grammar: str) -> None:
    if len(grammar.encode()) > MAX_CALL_GRAMMAR_BYTES:
        raise _refused(f"their grammar is longer than {MAX_CALL_GRAMMAR_BYTES} bytes")
    if grammar.count("::=") > MAX_CALL_RULES or grammar.count("(") > MAX_CALL_BRACKETS:
        raise _refused(
            f"their grammar has more than {MAX_CALL_RULES} rules or {MAX_CALL_BRACKETS} brackets"
        )


def _check_names(calls: CallFormat) -> None:
    """Refuse names whose rules llama.cpp would take for each other's, or for its own."""
    names = [_UNNAMEABLE.sub("-", tool.name) for tool in calls.tools.values()]
    rules = [f"tool-{name}{end}" for name in names for end in ("", "-schema")]
    if len({*rules, *_OWN_RULES}) < len(rules) + len(_OWN_RULES):
        raise _refused("the grammar cannot tell two names of tools apart, or one from its own")


def _lark(grammar: str, schemas: Mapping[str, str]) -> str:
    try:
        return call_lark(grammar, schemas)
    except ValueError as error:
        raise _refused(str(error)) from error


def _refused(problem: str) -> InvalidParameterError:
    return InvalidParameterError(param="tools", problem=f"cannot be followed: {short(problem)}")
