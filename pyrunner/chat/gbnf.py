r"""llama.cpp's grammars (GBNF) as the Lark that llguidance compiles.

llguidance's converter takes ``\u00e9`` for ``\ue9``, hands classes on as regular expressions,
which have operators that GBNF does not know (``[a&&b]``). So it gets every grammar in a spelling
that it reads as it is meant. It needs time in the square of the rules. Pure.
"""

import re
import sys

from llguidance.gbnf_to_lark import gbnf_to_lark

_TOKEN = re.compile(
    r"""
      (?P<comment> \#[^\r\n]*+ )
    | "(?P<literal> (?: [^"\\] | \\. )*+ )"
    | \[(?P<class> (?: [^]\\] | \\. )*+ )\]
    | (?P<unclosed> ["[] .*+ )
    | (?P<name> [\w-]++ )
    | (?P<definition> ::= )
    | (?P<lines> [\r\n][ \t\r\n]*+ )
    | (?P<anything> \. )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_CHARACTER = re.compile(
    r"""
      \\(?: x(?P<x> [0-9a-fA-F]{2} ) | u(?P<u> [0-9a-fA-F]{4} ) | U(?P<U> [0-9a-fA-F]{8} )
          | (?P<letter> . ) )
    | (?P<plain> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "[": "[", "]": "]"}
_IN_LITERAL = {written: f"\\{letter}" for letter, written in _LETTERS.items() if letter not in "[]"}
_INSTEAD = {
    "comment": "",
    "lines": "\n",
    "anything": rf"[\x00-{chr(sys.maxunicode)}]",  # llguidance's point leaves line breaks out
}
_FOR_START = "rule-named-start"
"""The converter needs the name ``start`` for the root."""
_SURROGATES = range(0xD800, 0xE000)


def to_lark(text: str) -> str:
    """Convert a grammar.

    Raises:
        ValueError: It is no GBNF; says why.
    """
    respelled = respell(text)
    try:
        return gbnf_to_lark(respelled)
    except Exception as error:  # the converter raises nothing more specific
        raise ValueError(f"it is not valid GBNF: {error}") from error


def respell(text: str) -> str:
    """Write a grammar so that llguidance's own parser reads it as it is meant.

    Raises:
        ValueError: It is no GBNF; says why.
    """
    tokens = list(_TOKEN.finditer(text))
    if any(token["name"] == _FOR_START for token in tokens):
        raise ValueError(f"no rule can have the name {_FOR_START}")
    return "".join(_rewritten(token) for token in tokens)


def _rewritten(token: re.Match[str]) -> str:
    kind = token.lastgroup or ""
    match kind:
        case "literal":
            return _literal(token["literal"])
        case "class":
            return _class(token["class"])
        case "unclosed":
            raise ValueError(f"it is not valid GBNF: a {token[0][0]} is not closed")
        case "name" if token["name"] == "start":
            return _FOR_START
        case _:
            return _INSTEAD.get(kind, token[0])


def _literal(text: str) -> str:
    pieces = [_in_literal(_character(each)) for each in _CHARACTER.finditer(text)]
    literal = f'"{"".join(pieces)}"'
    return f"({literal})" if any(piece.startswith('" ') for piece in pieces) else literal


def _in_literal(character: str) -> str:
    if character in _IN_LITERAL:
        return _IN_LITERAL[character]
    if character < " " or character == "\x7f":  # Lark's texts are JSON's
        return f'" [{_in_class(character)}] "'
    return character


def _class(text: str) -> str:
    # A hyphen or circumflex that is escaped is only itself.
    written = [(_character(each), each["plain"]) for each in _CHARACTER.finditer(text)]
    is_inverted = bool(written) and written[0][1] == "^"
    pieces = ["[^" if is_inverted else "["]
    i = 1 if is_inverted else 0
    while i < len(written):
        pieces.append(_in_class(written[i][0]))
        if i + 2 < len(written) and written[i + 1][1] == "-":
            pieces += ["-", _in_class(written[i + 2][0])]
            i += 2
        i += 1
    return "".join([*pieces, "]"])


def _in_class(character: str) -> str:
    is_itself = character.isalnum() or not character.isascii()
    return character if is_itself else f"\\x{ord(character):02x}"


def _character(match: re.Match[str]) -> str:
    if match["plain"]:
        return match["plain"]
    if match["letter"]:
        if match["letter"] not in _LETTERS:
            raise ValueError(f"it is not valid GBNF: {match[0]} is not an escape")
        return _LETTERS[match["letter"]]
    code = int(match["x"] or match["u"] or match["U"], 16)
    if code > sys.maxunicode or code in _SURROGATES:
        raise ValueError(f"it is not valid GBNF: {match[0]} is not a character")
    return chr(code)
