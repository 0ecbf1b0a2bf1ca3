"""A lock that is given in the order it was asked for."""

import threading
from collections import deque
from types import TracebackType


class Turn:
    """A reentrant lock, first come first served. Any thread.

    With `threading.RLock` a thread that releases and takes it again at once, as somebody who runs
    step after step does, keeps all others out for as long as it likes.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()  # guards the fields below; held for instants only
        self._owner: int | None = None
        self._depth = 0
        self._waiting: deque[tuple[int, threading.Lock]] = deque()

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._mutex:
            if self._owner in (None, me):
                self._owner = me
                self._depth += 1
                return
            granted = threading.Lock()
            granted.acquire()
            self._waiting.append((me, granted))
        try:
            granted.acquire()
        except BaseException:  # Ctrl-C: nobody will leave a turn that was never entered
            self._give_up(me, granted)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._mutex:
            self._depth -= 1
            if self._depth == 0:
                self._pass_on()

    def _pass_on(self) -> None:
        self._owner = None
        if self._waiting:
            self._owner, granted = self._waiting.popleft()
            self._depth = 1
            granted.release()

    def _give_up(self, me: int, granted: threading.Lock) -> None:
        with self._mutex:
            if (me, granted) in self._waiting:
                self._waiting.remove((me, granted))
            else:
                self._depth = 0
                self._pass_on()
