"""What guesses how running sequences go on, and takes time for it: a model does.

`pyrunner.engine.draft_lanes` has a second model do it, `pyrunner.engine.head_lanes` the model's own
heads. Whether it is asked is decided in `pyrunner.engine.speculation`. For the loop's thread.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pyrunner.engine.draft_length import Choice

if TYPE_CHECKING:
    from array import array

MAX_DRAFTED = 16
"""Tokens of a draft at most: each takes a pass."""


class Guessable(Protocol):
    """A sequence, as far as it goes. Compared by identity."""

    @property
    def lane(self) -> int:
        """Where the session has it."""
        ...

    @property
    def n_tokens(self) -> int:
        """Prompt and answer."""
        ...

    @property
    def n_generated(self) -> int:
        """Those of the answer."""
        ...

    @property
    def n_left(self) -> int:
        """Tokens it may still be given."""
        ...

    def tail(self, start: int) -> "array[int]":
        """Its tokens from `start` on."""
        ...


class Guesser(Protocol):
    """Any of these methods raises NativeError when it is of no more use."""

    @property
    def name(self) -> str:
        """For the log."""
        ...

    @property
    def lanes_bytes(self) -> int:
        """Memory of its cells."""
        ...

    @property
    def n_most(self) -> int:
        """Tokens of a draft at most."""
        ...

    def follow(self, texts: Collection[Guessable]) -> None:
        """Take what runs now."""
        ...

    def n_room(self, text: Guessable) -> int:
        """How many tokens can be guessed for a text before its lane is full; below 1 none."""
        ...

    def drafting_s(self, n_texts: int, n_guesses: int) -> float:
        """Seconds until there are so many guesses for so many texts; 0 until that is known."""
        ...

    def select(self, texts: Collection[Guessable]) -> list[Guessable]:
        """Those that `guess` can go on from."""
        ...

    def catch_up(self, behind: Sequence[Guessable], now: Choice, then: Choice) -> None:
        """Do something for those that it cannot, if that is worth it.

        Args:
            behind: Texts that are not selected.
            now: What the pass would be like without.
            then: What it would be like if all were selected.
        """
        ...

    def guess(self, texts: Mapping[Guessable, int]) -> dict[Guessable, list[int]]:
        """Guess how texts go on.

        Args:
            texts: Of `select`, with how many tokens each may get, 1 to `n_room` and `n_most`.

        Returns:
            As many tokens or fewer, or none.
        """
        ...

    def note_none(self) -> None:
        """A pass goes by without a guess: what was slow once may be faster now."""
        ...

    def note_step(self) -> None:
        """The session has done a step."""
        ...


def or_0(seconds: float) -> float:
    """What is not known is tried."""
    return 0.0 if math.isnan(seconds) else seconds
