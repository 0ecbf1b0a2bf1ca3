"""llama.cpp's "all text up to a delimiter" in rules that a parser goes through in one step.

It writes an automaton as one rule for each state, each with what comes and the state behind it:

    until-1 ::= | [<] until-1-01 | [^<] until-1

Read like this every character begins a rule that ends with the text, so what a parser holds grows
with the text. Here each rule says which state comes before instead, and characters that change
nothing come in runs. The texts are the same. Pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

_RULE = re.compile(r"(?P<family>(?:until|ac)-\d++)(?:-\d++)?+ ::= (?P<body>.*+)")
_PART = re.compile(r"\|| ++|(?P<set>\[(?:[^]\\]|\\.)*+\])|(?P<state>[\w-]++)|(?P<other>.)")


class _Step(NamedTuple):
    """From one state with one of a set of characters to another, or to the end of the text."""

    before: str
    characters: str
    """A set in brackets; empty for the end of the text."""
    behind: str
    """Empty for the end."""


def rewrite(text: str) -> str:
    """Turn all automata of a grammar of llama.cpp's round; one that looks otherwise stays."""
    lines = text.rstrip("\n").split("\n")  # other line breaks may stand in a literal
    families: dict[str, dict[str, str]] = {}
    for line in lines:
        if rule := _RULE.fullmatch(line):
            family = families.setdefault(rule["family"], {})
            family[line.partition(" ")[0]] = rule["body"]
    for name, bodies in families.items():
        steps = _steps(name, bodies)
        if steps is not None:
            lines = [line for line in lines if line.partition(" ")[0] not in bodies]
            lines += _rules(name, list(bodies), steps)
    return "\n".join(lines)


def _steps(family: str, bodies: Mapping[str, str]) -> list[_Step] | None:
    if family not in bodies:
        return None
    steps: list[_Step] = []
    for name, body in bodies.items():
        parts = list(_PART.finditer(body))
        if any(part["other"] for part in parts):
            return None
        for alternative in _alternatives(parts):
            kinds = [part.lastgroup for part in alternative]
            if kinds not in ([], ["set"], ["set", "state"]):
                return None
            words = [part[0] for part in alternative] + ["", ""]
            if words[1] and words[1] not in bodies:
                return None
            steps.append(_Step(name, words[0], words[1]))
    return steps


def _alternatives(parts: Iterable[re.Match[str]]) -> Iterator[list[re.Match[str]]]:
    alternative: list[re.Match[str]] = []
    for part in parts:
        if part[0] == "|":
            yield alternative
            alternative = []
        elif part[0].strip():
            alternative.append(part)
    yield alternative


def _rules(family: str, states: Iterable[str], steps: Iterable[_Step]) -> Iterator[str]:
    def ways(behind: str, *, stays: bool) -> list[str]:
        return [
            step.characters if stays else f"{step.before}-before {step.characters}"
            for step in steps
            if step.behind == behind and stays is (step.before == behind == family)
        ]

    yield f"{family} ::= {' | '.join(ways('', stays=False))}"
    for state in states:
        if state != family:
            yield f"{state}-before ::= {' | '.join(ways(state, stays=False))}"
    begun = " | ".join(['""', *ways(family, stays=False)])
    yield f"{family}-begun ::= {begun}"
    run = " | ".join(ways(family, stays=True))
    more = f" | {family}-begun {family}-run" if run else ""
    yield f"{family}-before ::= {family}-begun{more}"
    if run:
        yield f"{family}-run ::= ({run})+"
