"""Which tokens a piece of an answer came from, when their logprobs were asked for.

Text comes later than its tokens: while a character is incomplete, a stop string may be forming, or
a chat parser reads on. And not all of it comes: what a parser takes for reasoning, tool calls or
delimiters is not content.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from pyrunner.engine.request import Traced
from pyrunner.types import ReasoningEvent, TextEvent, TokenLogprobs, ToolCallEvent

Piece = TextEvent | ReasoningEvent | ToolCallEvent


class _Span(msgspec.Struct):
    logprobs: TokenLogprobs | None
    """None once reported: the token began in an earlier piece."""
    n_characters: int


class TokenTrace:
    """The tokens of one answer that no piece has accounted for yet. One thread at a time."""

    def __init__(self) -> None:
        self._spans: deque[_Span] = deque()
        self._text = ""  # of all spans together

    def add(self, traced: Traced | None) -> None:
        """A token was sampled, whose text may come later; None is ignored."""
        if traced is not None:
            self._spans.append(_Span(traced.logprobs, len(traced.text)))
            self._text += traced.text

    def attach(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Give each piece of text the logprobs of the tokens that begin in it.

        A token without text of its own, such as the first half of a character, belongs to the
        next that has some. Tokens of reasoning, tool calls and delimiters are dropped.
        """
        return [self._attach(piece) for piece in pieces]

    def _attach(self, piece: Piece) -> Piece:
        if not self._spans:
            return piece
        match piece:
            case TextEvent(text=text):
                self._skip(self._start_of(text))
                return TextEvent(text=text, logprobs=self._take(text))
            case ReasoningEvent(text=text):
                self._skip(self._start_of(text) + len(text))
            case ToolCallEvent():
                # Its text is not what was generated, so there is nothing to look for.
                self._skip(len(self._text))
        return piece

    def _start_of(self, text: str) -> int:
        """Where a piece begins in the text of the spans; 0 when it is not there.

        Pieces follow each other, unless a parser left out a delimiter between them.
        """
        return 0 if self._text.startswith(text) else max(0, self._text.rfind(text))

    def _skip(self, n_characters: int) -> None:
        """Forget so much text; a token that goes on behind it is still to be reported."""
        self._text = self._text[n_characters:]
        while n_characters > 0 and self._spans:
            span = self._spans[0]
            if span.n_characters > n_characters:
                span.n_characters -= n_characters
                return
            n_characters -= span.n_characters
            self._spans.popleft()

    def _take(self, text: str) -> tuple[TokenLogprobs, ...]:
        """The tokens that the spans' text, which begins with `text`, comes from."""
        n_characters = len(text)
        if not self._text.startswith(text):
            # It ends in a character that remained incomplete, which all that is left belongs to.
            n_characters = len(self._text) + 1
        found = []
        n_left = n_characters
        for span in self._spans:
            if n_left <= 0:
                break
            if span.logprobs is not None:
                found.append(span.logprobs)
                span.logprobs = None
            n_left -= span.n_characters
        self._skip(n_characters)
        return tuple(found)
