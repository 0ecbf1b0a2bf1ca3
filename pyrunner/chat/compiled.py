"""Grammars that were compiled before, for the next answers in the same form."""

from collections.abc import Callable, Hashable

from llguidance import LLMatcher

MAX_COMPILED = 8
"""Kept. An agent sends the same tools with each of its turns."""


class CompiledGrammars:
    """Matchers that nobody has moved yet. The prompt thread alone uses it."""

    def __init__(self) -> None:
        self._matchers: dict[Hashable, LLMatcher] = {}  # the last one used last

    def copy(self, key: Hashable, compile_one: Callable[[], LLMatcher]) -> LLMatcher:
        """A matcher of the caller's own.

        Args:
            key: All that its grammar depends on, in one vocabulary.
            compile_one: Makes it; what it raises is not kept.
        """
        matcher = self._matchers.pop(key, None) or compile_one()
        self._matchers[key] = matcher
        while len(self._matchers) > MAX_COMPILED:
            del self._matchers[next(iter(self._matchers))]
        return matcher.deep_copy()
