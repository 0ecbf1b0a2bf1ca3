"""Logprobs in the two forms OpenAI has for them. Of one answer; used by one thread."""

import codecs
from collections.abc import Iterable, Sequence
from typing import Protocol

from pyrunner.types import TokenChance, TokenLogprobs

_LEAST = -9999.0
"""OpenAI's way to write a probability of nothing, for which JSON has no number."""


class LogprobsRendering(Protocol):
    """``choices[0].logprobs`` of a chunk or of the whole answer."""

    def document(self, tokens: Sequence[TokenLogprobs]) -> object:
        """Of the tokens that follow those of the call before; null where none were asked for."""
        ...


class NoLogprobs:
    """Nobody asked."""

    def document(self, tokens: Sequence[TokenLogprobs]) -> None:
        """Null."""


class ChatLogprobs:
    """Chat completions: one object per token of the content."""

    def document(self, tokens: Sequence[TokenLogprobs]) -> object:
        """``content``, and the ``refusal`` that no model of ours writes."""
        return {"content": [_entry(each) for each in tokens], "refusal": None}


class TextLogprobs:
    """Text completions: parallel lists. Offsets count the characters of the answer."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._offset = 0

    def document(self, tokens: Sequence[TokenLogprobs]) -> object:
        """``tokens``, ``token_logprobs``, ``top_logprobs`` and ``text_offset``."""
        return {
            "tokens": [_name(each.chosen.piece) for each in tokens],
            "token_logprobs": [_number(each.chosen.logprob) for each in tokens],
            "top_logprobs": [_table((each.chosen, *each.likeliest)) for each in tokens],
            "text_offset": [self._offset_of(each.chosen.piece) for each in tokens],
        }

    def _offset_of(self, piece: bytes) -> int:
        offset = self._offset
        self._offset += len(self._decoder.decode(piece))
        return offset


def _entry(token: TokenLogprobs) -> dict[str, object]:
    return {
        **_chance(token.chosen),
        "top_logprobs": [_chance(each) for each in token.likeliest],
    }


def _chance(chance: TokenChance) -> dict[str, object]:
    return {
        "token": chance.piece.decode("utf-8", "replace"),
        "logprob": _number(chance.logprob),
        "bytes": list(chance.piece),
    }


def _table(chances: Iterable[TokenChance]) -> dict[str, float]:
    table: dict[str, float] = {}
    for each in chances:
        # Two tokens can have one text; then the likelier one counts.
        name, number = _name(each.piece), _number(each.logprob)
        table[name] = max(number, table.get(name, number))
    return table


def _name(piece: bytes) -> str:
    """As OpenAI's text completions write a token that is no whole character."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


def _number(logprob: float) -> float:
    return max(_LEAST, logprob)  # in this order, a NaN is the least, too
