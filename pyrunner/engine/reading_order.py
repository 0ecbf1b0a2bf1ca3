"""Whose prompt is read next. Pure: no native calls, no clock.

A chunk is of one prompt, so prompts are read one after the other: in the order in which they would
be done if all took turns, token by token. Of equal prompts that is the order they came in, which
is the best for the mean. A short one does not wait behind a long one, and however many short ones
come, a long one is done no later than with turns.
"""

import heapq


class ReadingOrder:
    """Plays the turns that nobody takes: when would each prompt be done?"""

    def __init__(self) -> None:
        self._n_had = 0.0  # tokens that a prompt which was always there has had, with turns
        self._dues: list[float] = []  # a heap: of those that would not be done, with turns

    def join(self, n_tokens: int) -> float:
        """A prompt of which `n_tokens` are to be read joins.

        Returns:
            Its place: the prompt with the smallest is read next.
        """
        due = self._n_had + n_tokens
        heapq.heappush(self._dues, due)
        return due

    def read(self, n_tokens: int) -> None:
        """So many tokens were read, whosever they were."""
        n_left = float(n_tokens)
        while self._dues:
            n_sharing = len(self._dues)
            n_to_next = (self._dues[0] - self._n_had) * n_sharing
            if n_left < n_to_next:
                self._n_had += n_left / n_sharing
                return
            n_left -= n_to_next
            self._n_had = heapq.heappop(self._dues)

    def leave(self, due: float) -> None:
        """A prompt with this place will not be read to its end, or not now."""
        if due in self._dues:  # else it would have been read by now, with turns
            self._dues.remove(due)
            heapq.heapify(self._dues)

    def clear(self) -> None:
        """Nobody has anything to read."""
        self._dues.clear()
        self._n_had = 0.0
