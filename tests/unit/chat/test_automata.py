"""Automata in other rules: the same texts, from the other end."""

import itertools
import re

import pytest

from pyrunner.chat.automata import rewrite

UNTIL = """\
root ::= "x" until-1 "ab"
until-1 ::= | [a] until-1-01 | [^a] until-1
until-1-01 ::= | [a] until-1-01 | [^ab] until-1
"""
INCLUDING = """\
root ::= ac-12
ac-12 ::= [a] ac-12-01 | [c] | [^ac] ac-12
ac-12-01 ::= [bc] | [a] ac-12-01 | [^abc] ac-12
"""


def _texts(grammar: str, rule: str, n_most: int) -> set[str]:
    """All short texts of "abc.", by trying every way through rules of sets and names."""
    bodies = dict(line.split(" ::= ", 1) for line in grammar.splitlines())
    found: dict[str, set[str]] = {name: set() for name in bodies}
    for _ in range(20 * n_most):  # until nothing is added; more than enough
        for name, body in bodies.items():
            if name != "root":
                for alternative in body.split("|"):
                    found[name] |= _ways(alternative.split(), found, n_most)
    return found[rule]


def _ways(parts: list[str], found: dict[str, set[str]], n_most: int) -> set[str]:
    texts = {""}
    for part in parts:
        if part in found:
            more = found[part]
        elif part == '""':
            more = {""}
        elif part.endswith("+"):
            more = {
                "".join(run)
                for n in range(1, n_most + 1)
                for run in itertools.product(_members(part[1:-2]), repeat=n)
            }
        else:
            more = set(_members(part))
        texts = {a + b for a in texts for b in more if len(a + b) <= n_most}
    return texts


def _members(characters: str) -> list[str]:
    return [each for each in "abc." if re.fullmatch(characters, each)]


@pytest.mark.parametrize(("grammar", "rule"), [(UNTIL, "until-1"), (INCLUDING, "ac-12")])
def test_rewritten_automaton_has_the_same_texts(grammar, rule):
    rewritten = rewrite(grammar)
    assert rewritten != grammar.strip()
    expected = _texts(grammar, rule, 4)
    assert len(expected) > 20
    assert _texts(rewritten, rule, 4) == expected


def test_no_rule_ends_with_what_goes_on():
    rewritten = rewrite(UNTIL)
    assert not re.search(r"\] until", rewritten)
    assert "until-1-run ::= ([^a])+" in rewritten
    assert rewritten.splitlines()[0] == 'root ::= "x" until-1 "ab"'


@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= "until-1 ::= x"',
        "until-1 ::= [a] until-2",
        "until-1-01 ::= | [a] until-1-01",
        'until-1 ::= | "a" until-1',
        "until-1 ::= | until-1 [a]",
        "until-1 ::= | [a] [b] until-1",
    ],
)
def test_rules_of_another_form_stay(grammar):
    assert rewrite(grammar) == grammar
