"""Stop strings in a stream of text."""

from collections.abc import Sequence
from typing import NamedTuple


class Passed(NamedTuple):
    """What may be shown now, and whether a stop string was found."""

    text: str
    is_stopped: bool


class StopMatcher:
    """Passes text through until one of the stop strings appears in it.

    Text that could be the beginning of a stop string is held back until it is clear. Everything
    before the first stop string is passed on, the stop string and what follows it never.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self._is_stopped = False

    def feed(self, text: str) -> Passed:
        """Take new text. After a stop string everything is swallowed."""
        if self._is_stopped:
            return Passed("", is_stopped=True)
        if not self._stops:
            return Passed(text, is_stopped=False)
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            passed, self._held = self._held[: min(found)], ""
            self._is_stopped = True
            return Passed(passed, is_stopped=True)
        n_held = max(self._n_overlap(stop) for stop in self._stops)
        passed = self._held[: len(self._held) - n_held]
        self._held = self._held[len(passed) :]
        return Passed(passed, is_stopped=False)

    def flush(self) -> str:
        """The stream ended without a stop string: what was held back belongs to the answer."""
        held, self._held = self._held, ""
        return held

    def _n_overlap(self, stop: str) -> int:
        """Length of the longest end of the held text that begins `stop`."""
        longest = min(len(stop) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._held.endswith(stop[:n])), 0)
