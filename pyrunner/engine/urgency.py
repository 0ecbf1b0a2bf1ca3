"""Whether a cancel is worth the prompt chunk, or the embedding, that is being computed.

Stopping it frees a lane before the pass is over, and throws away what was computed, which may be
somebody else's. Only the loop's thread knows whose it is, and only the thread that cancels knows
when: they meet here.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager


class Urgency:
    """Interrupts work that a cancel makes useless, and no other.

    Args:
        interrupt: Stops what is being computed, or what is begun next. Any thread.
    """

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._cancelled: set[int] = set()
        self._at_work: frozenset[int] = frozenset()

    def hurry(self, request_id: int) -> None:
        """A request is about to be cancelled. Any thread, before `settle` is asked for."""
        # Noted before the look, and `working` looks after it has noted: one of the two sees it.
        self._cancelled.add(request_id)
        if request_id in self._at_work:
            self._interrupt()

    @contextmanager
    def working(self, request_ids: Collection[int]) -> Iterator[bool]:
        """Let work be interrupted for any of these requests, and no others. The loop's thread.

        Gives whether it is useless already; then it was interrupted before it has begun.
        """
        self._at_work = frozenset(request_ids)
        is_useless = not self._at_work.isdisjoint(self._cancelled)
        if is_useless:
            self._interrupt()
        try:
            yield is_useless
        finally:
            self._at_work = frozenset()

    def settle(self, request_id: int) -> None:
        """The cancel has come, or the request is over. The loop's thread."""
        self._cancelled.discard(request_id)
