"""Where in an answer a tool call begins, as llama.cpp's lazy grammars look for it. Pure.

See `llama_grammar_accept_impl` in llama.cpp's src/llama-grammar.cpp, and `common_sampler_accept` in
its common/sampling.cpp for thoughts. There texts are compared token by token, here byte by byte, so
that a mark counts in whatever tokens it is spelled.
"""

import copy
import re
from collections.abc import Sequence
from typing import NamedTuple, Self

MAX_TRIGGER_BYTES = 1024
"""Of what a trigger matches. What lies further back is not searched again with every token."""


class Thinking(NamedTuple):
    """The marks around a thought, in which nothing is a trigger.

    An answer has one at most, before anything else: behind it, or behind words, llama.cpp's parser
    takes the marks for words, and finds calls between them.
    """

    start: bytes = b""
    """Empty where the model has none."""
    ends: tuple[bytes, ...] = ()


NO_THINKING = Thinking()


class TriggerSearch:
    """Follows one answer until a trigger comes.

    Args:
        expressions: Regular expressions as `_native.ChatPrompt.grammar_triggers` gives them. The
            call begins with the first group that is not empty, or else with the match.
        thinking: Of the model.
        begun: The part of the prompt that belongs to the answer: it may have begun a thought.

    Raises:
        ValueError: An expression is none.
    """

    def __init__(
        self, expressions: Sequence[bytes], thinking: Thinking = NO_THINKING, begun: bytes = b""
    ) -> None:
        self._patterns = [_compiled(each) for each in expressions]
        self._thinking = thinking
        self._is_thinking = False
        self._tail = b""  # in which the next mark of a thought may have begun
        self._said = b""  # without thoughts, but with their marks
        self._has_thought = False
        self._is_in_prompt = True
        while begun:
            _, begun = self._spoken(begun)
        self._is_in_prompt = False

    def feed(self, text: bytes) -> bytes | None:
        """Take the text of a token.

        Returns:
            None as long as there is no trigger, or else the text from the call's beginning on;
            then it is not to be called again.
        """
        while text:
            spoken, text = self._spoken(text)
            searched_from = max(0, len(self._said) - MAX_TRIGGER_BYTES)
            self._said += spoken
            start = self._start_of_call(searched_from)
            if start is not None:
                return self._said[start:] + text
        return None

    def copy(self) -> Self:
        """The same place in the same answer."""
        return copy.copy(self)  # what is inside is replaced, never changed

    def _start_of_call(self, searched_from: int) -> int | None:
        for pattern in self._patterns:
            # A "^" is the beginning of the answer, wherever the search begins.
            match = pattern.search(self._said, searched_from)
            if match is not None:
                groups = range(1, pattern.groups + 1)
                return match.start(next((each for each in groups if match[each]), 0))
        return None

    def _spoken(self, text: bytes) -> tuple[bytes, bytes]:
        """What is no thought up to where one begins or ends, and the text behind that."""
        thinking = self._thinking
        marks = thinking.ends if self._is_thinking else (thinking.start,) * bool(thinking.start)
        seen = self._tail + text
        found = [
            (at + len(mark), -len(mark), mark) for mark in marks if (at := seen.find(mark)) >= 0
        ]
        if not found:
            n_kept = max(map(len, marks), default=1) - 1
            self._tail = seen[len(seen) - n_kept :] if n_kept < len(seen) else seen
            return (b"" if self._is_thinking else text), b""
        end, _, mark = min(found)
        rest = seen[end:]
        if not self._is_thinking:
            said = (self._said + text)[: len(self._said) + len(text) - len(rest) - len(mark)]
            if self._has_thought or (said.strip() and not self._is_in_prompt):
                self._thinking, self._tail = NO_THINKING, b""
                return text, b""
            self._has_thought = True
        spoken = mark if self._is_thinking else text[: len(text) - len(rest)]
        self._is_thinking = not self._is_thinking
        self._tail = b""
        return spoken, rest


def _compiled(expression: bytes) -> re.Pattern[bytes]:
    if expression.endswith(b"$") and not expression.endswith(b"\\$"):
        expression = expression[:-1] + rb"\Z"  # "$" may stand before a line break, in Python only
    try:
        return re.compile(expression)
    except re.error as error:
        raise ValueError(f"'{expression!r}' is no regular expression: {error}") from error
