"""What an answer may go on with, as guesses. Pure: no native calls, no clock.

A draft is read together with the token before it in one pass; the session keeps what it would have
chosen anyway. So a wrong draft costs time and never changes an answer.

Prompt lookup is Apoorv Saxena's (github.com/apoorvumang/prompt-lookup-decoding): where the last
tokens have stood before, the next may be those that stood behind them.
"""

from bisect import bisect_left
from collections.abc import Sequence

N_GRAM = 3
"""Tokens that have to stand in the same order before, for what stood behind them to be a guess."""
MAX_SEARCHED = 8192
"""Tokens of a text that are searched: its last, or a prediction's first. Between two steps a
million would keep everybody waiting."""
N_RESYNC = 2
"""As `N_GRAM`, of a prediction, of which more is expected."""
N_NEAR = 8
"""Tokens of a prediction in which one that is among them once is enough: those from where the
answer left it, for as many tokens of the answer."""


class PromptLookup:
    """Guesses from what the sequence itself has said and was asked."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = list(tokens[-MAX_SEARCHED:])
        self._ends: dict[tuple[int, ...], int] = {}  # of the last place of each n-gram
        for end in range(N_GRAM, len(self._tokens)):
            self._note(end)

    def feed(self, token: int) -> None:
        """The sequence goes on with a token."""
        # The n-gram at the very end is not noted: it would be found as its own predecessor.
        self._note(len(self._tokens))
        self._tokens.append(token)

    def guess(self, n_most: int) -> list[int]:
        """What stood behind the last tokens where they stood before, at most `n_most`."""
        end = self._ends.get(tuple(self._tokens[-N_GRAM:]))
        return [] if end is None else self._tokens[end : end + n_most]

    def _note(self, end: int) -> None:
        if end >= N_GRAM:
            self._ends[tuple(self._tokens[end - N_GRAM : end])] = end


class Prediction:
    """Guesses from a text that somebody expects the answer to be like."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = list(tokens[:MAX_SEARCHED])
        self._at = 0  # where the answer stands in it
        self._n_missed = 0  # tokens of the answer, since the last that stood there
        self._i_near: int | None = None  # behind the one token that was found again
        self._said: tuple[int, ...] = ()  # the last tokens of the answer
        self._ends: dict[tuple[int, ...], list[int]] = {}  # of all places of each n-gram
        for end in range(N_RESYNC, len(self._tokens) + 1):
            self._ends.setdefault(tuple(self._tokens[end - N_RESYNC : end]), []).append(end)

    def feed(self, token: int) -> None:
        """The answer goes on with a token."""
        self._said = (*self._said[1 - N_RESYNC :], token)
        at = self._place()
        self._i_near = None
        if at is not None and self._tokens[at : at + 1] == [token]:
            self._at, self._n_missed = at + 1, 0
            return
        self._n_missed += 1
        if self._n_missed == 1:
            self._at += 1  # most often one word stands in the place of another: go on behind it
            return
        ends = self._ends.get(self._said)
        if ends:
            self._at, self._n_missed = _nearest(ends, self._at), 0
            return
        near = self._tokens[self._at - 1 : self._at - 1 + N_NEAR]
        if self._n_missed <= N_NEAR and near.count(token) == 1:
            self._i_near = self._at + near.index(token)

    def guess(self, n_most: int) -> list[int]:
        """What comes next in it, at most `n_most`; nothing where the answer has left it."""
        at = self._place()
        return [] if at is None else self._tokens[at : at + n_most]

    def _place(self) -> int | None:
        """Where the answer stands in it, as it seems."""
        return self._at if self._n_missed <= 1 else self._i_near


def _nearest(places: Sequence[int], place: int) -> int:
    """The one of ascending places that is nearest to another."""
    i = bisect_left(places, place)
    return min(places[max(0, i - 1) : i + 1], key=lambda each: abs(each - place))
