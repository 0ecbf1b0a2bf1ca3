"""llama.cpp's grammars of tool calls as the Lark that llguidance compiles.

llguidance has a lexer, which GBNF knows nothing of. It takes the longest text that any rule could
begin with and never goes back, so `"<b" | "<" [^b]` is not what it seems. Here what stands around
the values of a call is read character by character, but for runs of characters that are all the
same to the grammar. Values stay as they are: there the longest text is the right one. Pure.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from llguidance.gbnf_to_lark import (
    AlternativeNode,
    ASTNode,
    GrammarParser,
    LiteralNode,
    RegexNode,
    RepetitionNode,
    RuleNode,
    RuleRefNode,
    SequenceNode,
    resolve,
)

from pyrunner.chat.automata import rewrite
from pyrunner.chat.gbnf import respell

_VALUE = re.compile(r"json-.*|.*-schema\b.*")
"""Rules that llama.cpp makes of JSON and of its schemas. They lead to others, which are values as
well, but for the white space that is everywhere."""
_SPACE = "space"
_WRITTEN = re.compile(r"\\.|.", re.DOTALL)
"""Characters of a text that was respelled."""


def call_lark(text: str, schemas: Mapping[str, str]) -> str:
    """Convert a grammar of llama.cpp's.

    Args:
        text: GBNF.
        schemas: By rules that there are: the JSON schema of their texts, instead of what they say.

    Raises:
        ValueError: It is no GBNF; says why.
    """
    respelled = respell(rewrite(text))
    try:
        rules = GrammarParser().parse(respelled)
        for name, schema in schemas.items():
            rules[name].alternatives = AlternativeNode([_Schema(schema)])
        values = _values(rules)
        for rule in [rule for name, rule in rules.items() if name not in values]:
            _name_runs(rule.alternatives, rules)
            _split(rule.alternatives)
        resolve(rules)
    except Exception as error:  # the library raises nothing more specific
        raise ValueError(f"it is not valid GBNF: {error}") from error
    return "\n".join(["%llguidance {}", *map(str, rules.values())])


@dataclass
class _Schema(ASTNode):
    json: str

    def is_terminal(self) -> bool:
        return False

    def __str__(self) -> str:
        return f"%json {self.json}"


class _Character(LiteralNode):
    """One character of a text that is no lexeme, nor a part of one."""

    def is_terminal(self) -> bool:
        return False


def _values(rules: Mapping[str, RuleNode]) -> set[str]:
    found: set[str] = set()
    waiting = [name for name in rules if _VALUE.fullmatch(name)]
    while waiting:
        name = waiting.pop()
        if name in rules and name not in found and name != _SPACE:
            found.add(name)
            nodes = _inside(rules[name])
            waiting += [node.name for node in nodes if isinstance(node, RuleRefNode)]
    return found


def _inside(node: ASTNode) -> Iterator[ASTNode]:
    yield node
    for each in node.children():
        yield from _inside(each)


def _name_runs(node: ASTNode, rules: dict[str, RuleNode]) -> None:
    """Give what may go on without an end a rule of its own, which makes it one lexeme."""
    for each in list(_inside(node)):
        if isinstance(each, RepetitionNode) and each.max_times is None and _is_run(each.node):
            name = f"run-{len(rules)}"
            run = RepetitionNode(each.node, max(each.min_times, 1), None)
            rules[name] = RuleNode(name, AlternativeNode([run]), "")
            each.node = RuleRefNode(name)
            each.min_times, each.max_times = min(each.min_times, 1), 1


def _is_run(node: ASTNode) -> bool:
    nodes = list(_inside(node))
    has_sets = any(isinstance(each, RegexNode) for each in nodes)
    return has_sets and not any(isinstance(each, RuleRefNode) for each in nodes)


def _split(node: ASTNode) -> None:
    for each in node.children():
        _split(each)
    match node:
        case SequenceNode():
            node.nodes[:] = map(_in_characters, node.nodes)
        case AlternativeNode():
            node.alternatives[:] = map(_in_characters, node.alternatives)
        case RepetitionNode():
            node.node = _in_characters(node.node)
        case _:
            pass  # nothing else is made of others


def _in_characters(node: ASTNode) -> ASTNode:
    if not isinstance(node, LiteralNode) or not node.value:
        return node
    return SequenceNode([_Character(each) for each in _WRITTEN.findall(node.value)])
