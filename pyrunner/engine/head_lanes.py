"""What a model's own draft heads guess (multi-token prediction), and when they are fed.

Their lanes are the session's. They know of a text what they were fed of it, after each step, which
costs a fraction of the step; where guesses do not pay they are not fed. A text of which something
is missing begins anew for them: guesses are worse then, and nothing else. For the loop's thread.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from pyrunner.engine.draft_length import Choice, PassCosts
from pyrunner.engine.guesser import MAX_DRAFTED, Guessable, or_0


class Native(Protocol):
    """What is used of `pyrunner._native.DraftHeads`."""

    @property
    def n_ctx(self) -> int:
        """Tokens in a lane."""
        ...

    @property
    def n_most(self) -> int:
        """Guesses of one draft at most; 0 is as many as one likes."""
        ...

    @property
    def lanes_bytes(self) -> int:
        """Memory of its cells."""
        ...

    def feed(self) -> int:
        """Read what the session has just read; returns how many tokens that were."""
        ...

    def is_ready(self, lane: int, n_tokens: int) -> bool:
        """Whether a text can be gone on from."""
        ...

    def guess(self, parts: list[dict[str, int]]) -> tuple[list[int], list[int]]:
        """Guess."""
        ...


class HeadLanes:
    """The lanes of a model's own heads, a `Guesser`.

    Args:
        native: It follows the session's lanes by itself.
        clock: Monotonic seconds.
    """

    def __init__(self, native: Native, clock: Callable[[], float]) -> None:
        self._native = native
        self._clock = clock
        self._is_resting = False
        self._feeding = PassCosts()  # by tokens
        self._guessing = PassCosts()  # by texts
        self._warm: set[PassCosts] = set()
        """Of what kind there was a pass; the first one makes its graphs, too."""

    @property
    def name(self) -> str:
        """For the log."""
        return "the model's own draft heads"

    @property
    def lanes_bytes(self) -> int:
        """Memory of the cells."""
        return self._native.lanes_bytes

    @property
    def n_most(self) -> int:
        """Tokens of a draft at most."""
        return min(self._native.n_most or MAX_DRAFTED, MAX_DRAFTED)

    def follow(self, texts: Collection[Guessable]) -> None:
        """Nothing: a text is where its lane is."""

    def n_room(self, text: Guessable) -> int:
        """How many tokens can be guessed for a text before its lane is full; below 1 none."""
        # The last guess needs no cell.
        return self._native.n_ctx - text.n_tokens + 1

    def drafting_s(self, n_texts: int, n_guesses: int) -> float:
        """Seconds of so many guesses for so many texts, and of feeding what came of them."""
        if not n_texts:
            return 0.0
        guessing_s = or_0(self._guessing.expected_s(n_texts))
        return or_0(self._feeding.expected_s(n_texts)) + n_guesses * guessing_s

    def select(self, texts: Collection[Guessable]) -> list[Guessable]:
        """Those that were fed to their ends."""
        return [each for each in texts if self._native.is_ready(each.lane, each.n_tokens)]

    def catch_up(self, behind: Sequence[Guessable], now: Choice, then: Choice) -> None:
        """Be fed with the next steps if guesses pay, and rest if they do not."""
        del behind  # what they lack cannot be had any more
        # Without a rate there is nothing to compare with yet.
        self._is_resting = now.rate > 0.0 and (then.length == 0 or then.rate <= now.rate)

    def guess(self, texts: Mapping[Guessable, int]) -> dict[Guessable, list[int]]:
        """Guess how texts go on; see `Guesser.guess`.

        Raises:
            DecodeError: The heads are of no more use.
        """
        # llama.cpp splits a batch where a lane does not follow the one before it.
        texts = dict(sorted(texts.items(), key=lambda item: item[0].lane))
        parts = [
            {
                "lane": text.lane,
                "n_tokens": text.n_tokens,
                "token": text.tail(text.n_tokens - 1)[0],
                "n_most": n_most,
            }
            for text, n_most in texts.items()
        ]
        began_s = self._clock()
        counts, guesses = self._native.guess(parts)
        seconds = self._clock() - began_s
        found = {}
        start = 0
        for text, count in zip(texts, counts, strict=True):
            found[text] = guesses[start : start + count]
            start += count
        # A draft that ended early took a pass to see that.
        n_passes = max(min(len(found[text]) + 1, n_most) for text, n_most in texts.items())
        self._note(self._guessing, len(texts), seconds / n_passes)
        return found

    def note_none(self) -> None:
        """A pass goes by without a guess: what was slow once may be faster now."""
        self._guessing.hope()
        self._feeding.hope()

    def note_step(self) -> None:
        """Read what the session has read.

        Raises:
            DecodeError: The heads are of no more use.
            OutOfMemoryError: The session has other lanes, and as many of these do not fit.
        """
        if self._is_resting:
            return
        began_s = self._clock()
        n_rows = self._native.feed()
        if n_rows:
            self._note(self._feeding, n_rows, self._clock() - began_s)

    def _note(self, costs: PassCosts, n: int, seconds: float) -> None:
        if costs in self._warm:
            costs.note(n, seconds)
        self._warm.add(costs)
