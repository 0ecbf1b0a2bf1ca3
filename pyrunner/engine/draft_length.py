"""How long a draft is worth reading. Pure: no native calls; it is told what passes took.

A pass over more rows takes longer, and only the tokens that were guessed right come out of it. So
it needs two figures: what passes take, measured on the way, and how often guesses are right.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

LENGTHS = (1, 2, 4, 8, 16, 32)
"""Of drafts. Few, so that what each costs is soon known, and llama.cpp's graphs are used again."""
_UNKNOWN_SLOPE = 0.15
"""What one row more adds to a pass of one row, until it was measured."""
_FRESH = 0.25
"""Weight of the newest time of a pass: the load of a machine changes."""
_MEMORY = 0.9
"""Weight of older guesses against those of one pass later."""
_FORGETTING = 0.98
"""The same, for every pass without a draft: who was often wrong gets another chance."""
_OPTIMISM = 0.998
"""What becomes of the times of larger passes with every smaller one, so that a size that was slow
once, because of somebody else, is tried again some day."""
_LEAST_S = 1e-6
"""Of a pass: a clock may stand still for longer than one takes."""
_MIN_GAIN = 1.05
"""Times as many tokens per second that a draft has to promise."""


class PassCosts:
    """Seconds of passes by their number of rows."""

    def __init__(self) -> None:
        self._rows: list[int] = []  # ascending
        self._seconds: dict[int, float] = {}

    def note(self, n_rows: int, seconds: float) -> None:
        """A pass took so long."""
        seconds = max(seconds, _LEAST_S)
        for each in self._rows:
            if each > n_rows:
                self._seconds[each] *= _OPTIMISM
        if n_rows not in self._seconds:
            self._rows.insert(bisect_right(self._rows, n_rows), n_rows)
            self._seconds[n_rows] = seconds
        self._seconds[n_rows] += _FRESH * (seconds - self._seconds[n_rows])

    def hope(self) -> None:
        """A pass was thought too slow, and not made."""
        for each in self._rows:
            self._seconds[each] *= _OPTIMISM

    def expected_s(self, n_rows: int) -> float:
        """What a pass will take; NaN before any was noted, 0 where no line says anything."""
        if not self._rows:
            return math.nan
        # Between the two sizes beside it, or on the line through the last two.
        i = min(max(bisect_right(self._rows, n_rows), 1), len(self._rows) - 1)
        below, above = self._rows[i - 1], self._rows[i]
        below_s, above_s = self._seconds[below], self._seconds[above]
        slope = (
            (above_s - below_s) / (above - below)
            if above > below
            else below_s * _UNKNOWN_SLOPE / (1 + _UNKNOWN_SLOPE * (below - 1))
        )
        # A row costs no more in a longer pass, and a longer pass is no shorter.
        least_s = below_s * min(1.0, n_rows / below)
        return max(least_s, below_s + slope * (n_rows - below))


class Acceptance:
    """How often the guesses for one sequence are right."""

    def __init__(self, prior: float) -> None:
        self._prior = prior
        self._n_right = 0.0
        self._n_tried = 0.0

    @property
    def rate(self) -> float:
        """The estimated chance that the next guess is right."""
        return (self._n_right + self._prior) / (self._n_tried + 1)

    def note(self, n_guessed: int, n_right: int) -> None:
        """A draft was read; those behind the first wrong guess say nothing."""
        self._n_right = self._n_right * _MEMORY + n_right
        self._n_tried = self._n_tried * _MEMORY + min(n_guessed, n_right + 1)

    def note_none(self, n_passes: int = 1) -> None:
        """Passes went by without a draft."""
        forgetting = _FORGETTING**n_passes
        self._n_right *= forgetting
        self._n_tried *= forgetting


@dataclass(frozen=True, slots=True)
class Candidate:
    """A running sequence that something could be guessed for."""

    n_guesses: int
    """As many as there are, at least 1."""
    rate: float
    """The chance that a guess is right, given that those before it are."""

    def expected(self, n_most: int) -> float:
        """Guesses of a draft of this length that will be right, on average."""
        n = min(n_most, self.n_guesses)
        rate = min(self.rate, 0.999)
        return rate * (1 - rate**n) / (1 - rate)


def is_one_pass(n_running: int, lengths: Collection[int]) -> bool:
    """Whether llama.cpp makes one pass of drafts of these lengths and the tokens before them.

    It makes another one of what some lanes have more than others.
    """
    return not lengths or (len(lengths) == n_running and len(set(lengths)) == 1)


class Choice(NamedTuple):
    """What a pass is to be like."""

    length: int
    """Tokens of each draft at most; 0 when none promises more than going on without."""
    rate: float
    """Tokens per second, 0 before any pass was noted."""


def no_time(_length: int) -> float:
    """The drafts are there already."""
    return 0.0


def choose(
    n_running: int,
    candidates: list[Candidate],
    costs: PassCosts,
    n_drafts: int,
    drafting_s: Callable[[int], float] = no_time,
) -> Choice:
    """The length of drafts that brings most tokens per second.

    Args:
        n_running: Sequences in the pass, those without a candidate too, at least 1.
        candidates: One for each that something could be guessed for.
        costs: Of passes that were measured.
        n_drafts: Rows of drafts that the pass can have at most.
        drafting_s: Seconds until there are drafts of a length.
    """
    plain_s = costs.expected_s(n_running)
    if not plain_s > 0.0:
        return Choice(0, 0.0)  # the pass that follows tells
    best = Choice(0, n_running / plain_s)
    least_rate = _MIN_GAIN * best.rate
    for length in LENGTHS:
        lengths = [min(length, each.n_guesses) for each in candidates]
        n_rows = sum(lengths)
        if not candidates or n_rows > n_drafts:
            break
        n_tokens = n_running + sum(each.expected(length) for each in candidates)
        seconds = (
            costs.expected_s(n_running + n_rows)
            if is_one_pass(n_running, lengths)
            else plain_s + costs.expected_s(n_rows)
        )
        # More rows take no less; lines through times that somebody else disturbed may say so.
        rate = n_tokens / (max(seconds, plain_s) + drafting_s(max(lengths)))
        if rate > max(best.rate, least_rate):
            best = Choice(length, rate)
        if all(each.n_guesses <= length for each in candidates):
            break
    return best


def choose_length(
    n_running: int, candidates: list[Candidate], costs: PassCosts, n_drafts: int
) -> int:
    """As `choose`, of drafts that are there already: the length alone."""
    return choose(n_running, candidates, costs, n_drafts).length
