"""One generation of an `Engine`, as its reader holds it."""

from collections.abc import Callable, Iterator
from typing import Self

from pyrunner.types import Event, FinishEvent


class Generation(Iterator[Event]):
    """One running generation. One thread at a time may iterate it, and any may close it.

    Args:
        wait: Gives the next event; None when the generation was closed.
        cancel: Ends it; harmless when it is over.
        abandon: The same for a finalizer, which runs at any point of any thread: takes no lock.
    """

    def __init__(
        self,
        wait: Callable[[], Event | None],
        cancel: Callable[[], None],
        abandon: Callable[[], None],
    ) -> None:
        self._wait = wait
        self._cancel = cancel
        self._abandon = abandon
        self._is_over = False

    def __next__(self) -> Event:
        if self._is_over:
            raise StopIteration
        try:
            event = self._wait()
        except BufferError:
            raise  # a row is lent; the generation goes on after its release
        except Exception:  # an error is a generation's last event, whichever it is
            self._leave()
            raise
        except BaseException:  # Ctrl-C: it would go on
            self.close()
            raise
        if event is None:
            raise StopIteration
        if isinstance(event, FinishEvent):
            self._leave()
        return event

    def _leave(self) -> None:
        # There is nothing left that has to end at once, so nothing to wait for the engine for.
        self._is_over = True
        self._abandon()

    def close(self) -> None:
        """Cancel what is left; harmless when it is over."""
        self._is_over = True
        self._cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._abandon()
