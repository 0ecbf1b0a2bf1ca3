"""Waiting for a runner while watching whether anybody still wants the answer.

Runs on the server's request threads.
"""

from collections.abc import Callable, Iterator

from pyrunner.errors import ShuttingDownError
from pyrunner.runtime.runner import EventStream
from pyrunner.server.admission import Admission
from pyrunner.types import Event, FinishEvent, FinishReason

POLL_S = 0.02
"""How long a request thread waits before it looks again whether its client is there."""


class ClientWatch:
    """Says whether an answer still has a reader.

    waitress says so through the request's environment. Under a WSGI server that cannot, the
    answer is None for ever and a vanished client is noticed by the next write.
    """

    def __init__(self, environ: dict[str, object], admission: Admission) -> None:
        probe = environ.get("waitress.client_disconnected")
        self._probe: Callable[[], object] | None = probe if callable(probe) else None
        self._admission = admission

    def is_gone(self) -> bool:
        """The client closed its side: nobody reads what would be written now."""
        return self._probe is not None and bool(self._probe())

    def is_cancelled(self) -> bool:
        """What the runtime asks while it waits for us: nobody reads.

        Raises:
            ShuttingDownError: Somebody does, and has to hear that the drain's time is up.
        """
        self.check_open()
        return self.is_gone()

    def is_over(self) -> bool:
        """Nobody reads, or the server has to end: stop waiting."""
        return self._admission.is_closing or self.is_gone()

    def check_open(self) -> None:
        """Raise when the server has to end.

        Raises:
            ShuttingDownError: The drain's time is up.
        """
        if self._admission.is_closing:
            raise ShuttingDownError


def follow(stream: EventStream, watch: ClientWatch) -> Iterator[Event]:
    """Yield a stream's events up to and including its `FinishEvent`.

    Ends early, without one, when the client is gone. The caller closes the stream.

    Raises:
        PyrunnerError: The request failed, or the server or the worker is ending.
    """
    while not watch.is_gone():
        watch.check_open()
        event = stream.poll(POLL_S)
        if event is None:
            continue
        if isinstance(event, FinishEvent) and event.reason is FinishReason.CANCELLED:
            # Not by us: we would have closed the stream and not be reading it.
            raise ShuttingDownError(what="worker")
        yield event
        if isinstance(event, FinishEvent):
            return
