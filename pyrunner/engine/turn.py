"""A lock that is given in the order it was asked for, to those who still need it."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Waiter:
    thread: int
    is_needless: Callable[[], bool]
    is_over: threading.Lock = field(default_factory=_locked)  # released when it need not wait on
    has_turn: bool = False


class Turn:
    """A reentrant lock, first come first served. Any thread.

    With `threading.RLock` a thread that releases and takes it again at once, as somebody who runs
    step after step does, keeps all others out for as long as it likes.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()  # guards the fields below; held for instants only
        self._owner: int | None = None
        self._depth = 0
        self._waiting: deque[_Waiter] = deque()

    def __enter__(self) -> None:
        self.enter_unless(lambda: False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    @property
    def is_nested(self) -> bool:
        """Whether the thread that has the turn, and asks, has taken it more than once."""
        return self._depth > 1

    def enter_unless(self, is_needless: Callable[[], bool]) -> bool:
        """Take the turn, which `leave` gives back, or go without it.

        Args:
            is_needless: Whether what it is wanted for is there already. Asked now, and at each
                `excuse` while this waits, by any thread; must not take the turn.

        Returns:
            Whether this thread has the turn.
        """
        me = threading.get_ident()
        with self._mutex:
            if is_needless():
                return False
            if self._owner in (None, me):
                self._owner = me
                self._depth += 1
                return True
            waiter = _Waiter(me, is_needless)
            self._waiting.append(waiter)
        try:
            waiter.is_over.acquire()
        except BaseException:  # Ctrl-C: nobody will leave a turn that was never entered
            self._give_up(waiter)
            raise
        return waiter.has_turn

    def leave(self) -> None:
        """Give back what was entered last."""
        with self._mutex:
            self._depth -= 1
            if self._depth == 0:
                self._pass_on()

    def excuse(self) -> None:
        """Let those go that wait and need not any more."""
        with self._mutex:
            for waiter in [each for each in self._waiting if each.is_needless()]:
                self._waiting.remove(waiter)
                waiter.is_over.release()

    def _pass_on(self) -> None:
        self._owner = None
        if self._waiting:
            waiter = self._waiting.popleft()
            self._owner, self._depth, waiter.has_turn = waiter.thread, 1, True
            waiter.is_over.release()

    def _give_up(self, waiter: _Waiter) -> None:
        with self._mutex:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif waiter.has_turn:
                self._depth = 0
                self._pass_on()
