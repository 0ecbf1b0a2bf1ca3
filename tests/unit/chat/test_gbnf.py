"""How a grammar is spelt for llguidance's converter, and what it never gets to see."""

import pytest

from pyrunner.chat.gbnf import to_lark


def _body(lark: str) -> str:
    """What a single rule says."""
    return lark.partition("start: ")[2].strip()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r'"\u00e9abc"', '"\u00e9abc"'),
        (r'"\xe9\U0001F433"', '"\u00e9\U0001f433"'),
        (r'"\x41\u005c\x22\x0a"', r'"A\\\"\n"'),
        (r'"\[\]\t\\"', r'"[]\t\\"'),
        ('"a\nb"', r'"a\nb"'),
        (r'"a\x01"*', r'("a" /[\x01]/ "")*'),
        (r"[\u00e9-\u00eb]", "/[\u00e9-\u00eb]/"),
        (r"[^\x41-Z\]/]", r"/[^A-Z\x5d\x2f]/"),
        ("[a&&b]", r"/[a\x26\x26b]/"),
        ("[a-c-e-]", r"/[a-c\x2de\x2d]/"),
        (r"[a\x2dz]", r"/[a\x2dz]/"),
        (r"[\x5e^]", r"/[\x5e\x5e]/"),
        (".", "/[\\x00-\U0010ffff]/"),
        ('"a" # "b" [', '"a"'),
    ],
)
def test_characters_are_what_they_are_in_gbnf(written, read):
    assert _body(to_lark(f"root ::= {written}")) == read


def test_a_rule_may_be_called_start():
    lark = to_lark('root ::= start "b"\nstart ::= "a"\n')
    assert 'start: RULE_NAMED_START "b"' in lark
    assert 'RULE_NAMED_START: "a"' in lark
    with pytest.raises(ValueError, match="can have the name"):
        to_lark('root ::= start\nstart ::= "a"\nrule-named-start ::= "b"')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r'root ::= "\q"', r"\\q is not an escape"),
        (r'root ::= "\x4"', r"\\x is not an escape"),
        (r"root ::= [\ud83d]", r"\\ud83d is not a character"),
        (r'root ::= "\U00110000"', r"\\U00110000 is not a character"),
        ('root ::= "a', 'a " is not closed'),
        ('root ::= "a\\"', 'a " is not closed'),
        ("root ::= [a", r"a \[ is not closed"),
        ("root ::= [a]\nroot", "Expected ::="),
        ("root ::= " + "(" * 5000, "not valid GBNF"),
    ],
)
def test_what_is_no_gbnf_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        to_lark(text)
