"""What of a call is read character by character, and what is one lexeme."""

import pytest

from pyrunner.chat.call_lark import call_lark

GRAMMAR = r"""
root ::= "<a>" tool-f
tool-f ::= "f" space tool-f-schema ( [^"\\] | "\\" [nt] )* "x"+
tool-f-schema ::= "{" space "\"key\"" text "}"
text ::= "\"" [a-z]{0,9} "\""
space ::= | " "
"""


def _rules(lark: str) -> dict[str, str]:
    rules = (line.split(": ", 1) for line in lark.splitlines() if ": " in line)
    return {name: body.strip() for name, body in rules}


def test_marks_are_characters_and_values_are_lexemes():
    rules = _rules(call_lark(GRAMMAR, {}))
    assert rules["start"] == '"<" "a" ">" tool_f'
    assert rules["tool_f_schema"] == r'"{" space "\"key\"" TEXT "}"'
    assert rules["TEXT"] == r'"\"" /[a-z]/{0,9} "\""'
    assert "space" in rules


def test_what_goes_on_without_an_end_is_one_lexeme():
    rules = _rules(call_lark(GRAMMAR, {}))
    (run,) = (name for name in rules if name.startswith("RUN"))
    assert rules["tool_f"] == f'"f" space tool_f_schema {run}? "x"+'
    assert rules[run].endswith("+")


def test_schema_stands_for_the_rule_of_its_texts():
    rules = _rules(call_lark(GRAMMAR, {"tool-f-schema": '{"type":"null"}'}))
    assert rules["tool_f_schema"] == '%json {"type":"null"}'


@pytest.mark.parametrize("text", ["root ::= other", 'root ::= "a', "x", 'a ::= "b"'])
def test_what_is_no_grammar_is_refused(text):
    with pytest.raises(ValueError, match="valid GBNF"):
        call_lark(text, {})
