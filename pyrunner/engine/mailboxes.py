"""What an `Engine` has for those who read its generations."""

from collections import deque
from collections.abc import Iterable

from pyrunner.engine.request import Errored, Finished, StepEvent, Text
from pyrunner.engine.token_trace import Piece, TokenTrace
from pyrunner.types import Event, TextEvent


class Mailboxes:
    """Events of each generation that somebody holds, until they are read.

    Whoever has the engine's lock calls everything; but `find`, taking from what it gives, and
    `has_news` need no lock.
    """

    def __init__(self) -> None:
        self._boxes: dict[int, deque[Event | Exception]] = {}
        self._traces: dict[int, TokenTrace] = {}  # of those that want logprobs

    def open(self, request_id: int, *, is_traced: bool) -> None:
        """For a generation that begins, and reports logprobs if `is_traced`."""
        self._boxes[request_id] = deque()
        if is_traced:
            self._traces[request_id] = TokenTrace()

    def close(self, request_id: int) -> bool:
        """Nobody reads it any more; whether somebody did until now."""
        self._traces.pop(request_id, None)
        return self._boxes.pop(request_id, None) is not None

    def find(self, request_id: int) -> "deque[Event | Exception] | None":
        """What is to be read, oldest first; None when it is closed."""
        return self._boxes.get(request_id)

    def has_news(self, request_id: int) -> bool:
        """Whether its reader has no reason to wait."""
        box = self._boxes.get(request_id)
        return box is None or bool(box)

    def deliver(self, events: Iterable[StepEvent]) -> None:
        """What came out of a step."""
        for event in events:
            box = self._boxes.get(event.request_id)
            if box is None:
                continue  # cancelled, and nobody listens any more
            match event:
                case Text():
                    box.extend(self._said(event))
                case Finished(finish=finish):
                    box.extend(self._said(event))
                    box.append(finish)
                case Errored(error=error):
                    box.append(error)

    def fail(self, error: Exception) -> None:
        """All end with an error."""
        for box in self._boxes.values():
            box.append(error)

    def _said(self, event: Text | Finished) -> list[Piece]:
        said: list[Piece] = [TextEvent(text=event.text)] if event.text else []
        trace = self._traces.get(event.request_id)
        if trace is None:
            return said
        trace.add(event.traced)
        return trace.attach(said)
