"""What a draft model holds of the running sequences, and what it guesses.

Its lanes are not those of the sequences, which move, are parked and come back: a sequence takes the
one that holds most of its beginning, and reads what is missing there. For the loop's thread.
"""

import math
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pyrunner.engine.draft_length import Choice, PassCosts
from pyrunner.engine.guesser import MAX_DRAFTED, Guessable, or_0
from pyrunner.engine.prefix_index import n_shared

READ_ROWS = 256
"""Tokens of a text that are read in one go: everybody else waits meanwhile."""
N_NEAR = 64
"""Tokens that may be missing for a guess; of more than these, reading is a step of its own."""
LEAST_ANSWER = 128
"""Tokens that an answer is expected to go on for, when it has not said more than that."""


class Layout(Protocol):
    """Of the session."""

    @property
    def n_ctx(self) -> int:
        """Tokens in each of its lanes."""
        ...

    @property
    def n_lanes(self) -> int:
        """At least as many as there are texts."""
        ...


class Native(Protocol):
    """What is used of `pyrunner._native.DraftModel`."""

    @property
    def n_batch(self) -> int:
        """Tokens that one `draft` reads at most."""
        ...

    @property
    def lanes_bytes(self) -> int:
        """Memory of its cells."""
        ...

    def set_layout(self, n_ctx: int, n_lanes: int) -> None:
        """Make empty lanes."""
        ...

    def draft(self, parts: list[dict[str, int]], tokens: list[int]) -> tuple[list[int], list[int]]:
        """Read and guess."""
        ...


@dataclass(slots=True)
class _Place:
    """Where a text is."""

    lane: int
    n_common: int = 0
    """Tokens of it that are known to be there."""


class DraftLanes:
    """The lanes of one draft model, a `Guesser`.

    Args:
        native: Its lanes are as the session's are now.
        session: Whose lanes these follow in number and length.
        n_ctx_most: Tokens the draft model was trained for; of a longer text it guesses nothing.
        clock: Monotonic seconds.
    """

    def __init__(
        self, native: Native, session: Layout, n_ctx_most: int, clock: Callable[[], float]
    ) -> None:
        self._native = native
        self._session = session
        self._n_ctx_most = n_ctx_most
        self._clock = clock
        self._layout = self._wanted_layout()
        self._held = _empty(self._layout[1])
        self._places: dict[Guessable, _Place] = {}
        self._is_warm = False
        self._guessing = PassCosts()  # by lanes
        self._reading = PassCosts()  # by tokens

    @property
    def name(self) -> str:
        """For the log."""
        return "the draft model"

    @property
    def lanes_bytes(self) -> int:
        """Memory of the cells."""
        return self._native.lanes_bytes

    @property
    def n_most(self) -> int:
        """Tokens of a draft at most."""
        return MAX_DRAFTED

    def follow(self, texts: Collection[Guessable]) -> None:
        """Take what runs now; the places of all others are free, and what is there stays.

        Raises:
            OutOfMemoryError: The session has other lanes, and as many of these do not fit.
        """
        layout = self._wanted_layout()
        if layout != self._layout:
            self._places.clear()
            self._native.set_layout(*layout)
            self._layout, self._held, self._is_warm = layout, _empty(layout[1]), False
        for gone in self._places.keys() - set(texts):
            del self._places[gone]
        for text in texts:
            if text not in self._places:
                self._places[text] = self._nearest(text)

    def n_missing(self, text: Guessable) -> int:
        """Tokens to read before the next can be guessed, at least 1."""
        return text.n_tokens - self._n_kept(text)

    def n_room(self, text: Guessable) -> int:
        """How many tokens can be guessed for a text before its lane is full; below 1 none."""
        # The last guess needs no cell.
        return self._layout[0] - text.n_tokens + 1

    def drafting_s(self, n_texts: int, n_guesses: int) -> float:
        """Seconds of so many guesses for so many texts; 0 until that is known, to try it."""
        return n_guesses * or_0(self._guessing.expected_s(n_texts)) if n_texts else 0.0

    def reading_s(self, n_tokens: int) -> float:
        """Seconds until so many tokens of a text are read; 0 until that is known."""
        return math.ceil(n_tokens / READ_ROWS) * or_0(self._reading.expected_s(READ_ROWS))

    def note_none(self) -> None:
        """A pass went by without a guess: what was slow once may be faster now."""
        self._guessing.hope()
        self._reading.hope()

    def select(self, texts: Collection[Guessable]) -> list[Guessable]:
        """Those of which one `guess` can read what is missing."""
        n_rows = 0
        chosen = []
        for text in texts:
            n_missing = self.n_missing(text)
            if n_missing <= N_NEAR and n_rows + n_missing <= self._native.n_batch:
                n_rows += n_missing
                chosen.append(text)
        return chosen

    def catch_up(self, behind: Sequence[Guessable], now: Choice, then: Choice) -> None:
        """Read on in the text that is best known, if that will have been worth it."""
        if not behind or then.length == 0 or then.rate <= now.rate or now.rate == 0.0:
            return
        text = min(behind, key=self.n_missing)
        n_more = min(text.n_left, max(text.n_generated, LEAST_ANSWER))
        saved_s = n_more / now.rate - n_more / then.rate
        if self.reading_s(self.n_missing(text)) < saved_s:
            self.read(text)

    def note_step(self) -> None:
        """Nothing: it reads texts, not what the session reads."""

    def read(self, text: Guessable) -> None:
        """Read on in a text that is far behind, `READ_ROWS` at most.

        Raises:
            DecodeError: The draft model is of no more use.
        """
        n_rows = min(self.n_missing(text) - 1, READ_ROWS, self._native.n_batch)
        if n_rows < 1:  # all but its last token is there, which `guess` reads
            return
        seconds, _ = self._run({text: 0}, n_rows)
        if n_rows == READ_ROWS and self._is_warm:
            self._reading.note(READ_ROWS, seconds)
        self._is_warm = True

    def guess(self, texts: Mapping[Guessable, int]) -> dict[Guessable, list[int]]:
        """Guess how texts go on.

        Args:
            texts: Of `select`, with how many tokens each may get, 1..`n_room`.

        Returns:
            As many tokens or fewer, or none.

        Raises:
            DecodeError: The draft model is of no more use.
        """
        seconds, found = self._run(texts, self._native.n_batch)
        # A draft that ended early took a pass to see that.
        n_passes = max(min(len(found[text]) + 1, n_most) for text, n_most in texts.items())
        if self._is_warm:
            self._guessing.note(len(texts), seconds / n_passes)
        self._is_warm = True  # the first pass in a new context makes its graphs, too
        return found

    def _run(
        self, texts: Mapping[Guessable, int], n_rows: int
    ) -> tuple[float, dict[Guessable, list[int]]]:
        parts: list[dict[str, int]] = []
        tokens: list[int] = []
        # llama.cpp splits a batch where a lane does not follow the one before it.
        texts = dict(sorted(texts.items(), key=lambda item: self._places[item[0]].lane))
        for text, n_most in texts.items():
            n_keep = self._n_kept(text)
            new = text.tail(n_keep)[:n_rows]
            lane = self._places[text].lane
            self._held[lane] = self._held[lane][:n_keep] + new
            tokens.extend(new)
            parts.append({"lane": lane, "n_keep": n_keep, "n_new": len(new), "n_most": n_most})
        began_s = self._clock()
        counts, guesses = self._native.draft(parts, tokens)
        seconds = self._clock() - began_s
        found = {}
        start = 0
        for text, count in zip(texts, counts, strict=True):
            found[text] = guesses[start : start + count]
            start += count
            self._held[self._places[text].lane].extend(found[text][:-1])
        return seconds, found

    def _n_kept(self, text: Guessable) -> int:
        place = self._places[text]
        known = place.n_common
        place.n_common += n_shared(self._held[place.lane][known:], text.tail(known))
        # The last token is read in any case: what comes behind it is asked for.
        return min(place.n_common, text.n_tokens - 1)

    def _nearest(self, text: Guessable) -> _Place:
        taken = {place.lane for place in self._places.values()}
        tokens = text.tail(0)
        free = [lane for lane in range(len(self._held)) if lane not in taken]
        return _Place(max(free, key=lambda lane: n_shared(self._held[lane], tokens)))

    def _wanted_layout(self) -> tuple[int, int]:
        return min(self._session.n_ctx, self._n_ctx_most), self._session.n_lanes


def _empty(n_lanes: int) -> list["array[int]"]:
    return [array("i") for _ in range(n_lanes)]
