"""The answer of a worker, as an `EventStream`."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NoReturn, Self, TypeVar

from pyrunner.errors import (
    PyrunnerError,
    RequestCancelledError,
    ShuttingDownError,
    WorkerProtocolError,
    from_facts,
)
from pyrunner.runtime.link import Link
from pyrunner.runtime.runner import POLL_S, IsCancelled
from pyrunner.types import EmbeddingResult, Event, RerankResult
from pyrunner.wire.frames import Delta, Done, Failed, FromWorker, Progress, Scores, Vectors

_BLOCK_S = 3600.0
_WholeT = TypeVar("_WholeT", Vectors, Scores)


class OpenStreams:
    """The streams of one runtime that are not over. Any thread; `_changed` protects the rest."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._streams: set[WorkerStream] = set()
        self._refusal: PyrunnerError | None = None

    @property
    def n_open(self) -> int:
        """How many there are."""
        return len(self._streams)

    def check_open(self) -> None:
        """Raise what `refuse` said, once it did."""
        if self._refusal is not None:
            raise self._refusal

    def add(self, stream: "WorkerStream") -> None:
        """Count a stream; one that comes too late is closed and refused."""
        with self._changed:
            if self._refusal is None:
                self._streams.add(stream)
                return
        stream.close()
        self.check_open()

    def remove(self, stream: "WorkerStream") -> None:
        """A stream is over; unknown ones are ignored."""
        with self._changed:
            self._streams.discard(stream)
            self._changed.notify_all()

    def refuse(self, error: PyrunnerError) -> None:
        """Take no more streams."""
        with self._changed:
            self._refusal = error

    def drain(self, deadline_s: float) -> None:
        """Wait until all are over, then end the rest with what `refuse` said."""
        with self._changed:
            self._changed.wait_for(lambda: not self._streams, deadline_s)
            late = list(self._streams)
        for stream in late:
            stream.abort(self._refusal or ShuttingDownError())


class WorkerStream:
    """Reads one request's frames. See `runner.EventStream` for who may call what.

    Args:
        link: Greeted, with the request sent; owned from now on.
        describe_end: Says why a worker hung up without an answer.
        on_close: Called once when the stream is over.
    """

    def __init__(
        self,
        link: Link,
        describe_end: Callable[[], PyrunnerError],
        on_close: Callable[["WorkerStream"], None],
    ) -> None:
        self._link = link
        self._describe_end = describe_end
        self._on_close = on_close
        self._events: deque[Event] = deque()
        self._end: PyrunnerError | None = None
        self._is_over = False
        self._is_linked = True
        # Held while the socket is read: its number must not be closed, and used again, under
        # the reader. Reentrant, because reading the last frame closes.
        self._reading = threading.RLock()

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will come."""
        return self._is_over and not self._events

    def fileno(self) -> int:
        """Readable when the worker sent something; -1 after the end."""
        return self._link.fileno()

    def poll(self, timeout_s: float) -> Event | None:
        """The next event; None when none came in time, or the stream is finished."""
        deadline = time.monotonic() + timeout_s
        while not self._is_over and not self._events:
            frame = self._receive(max(0.0, deadline - time.monotonic()))
            if frame is None and time.monotonic() >= deadline:
                break
            if isinstance(frame, Delta):
                self._events.extend(frame.events)
            elif isinstance(frame, Done):
                self._events.append(frame.finish)
                self.close()
            elif frame is not None and not isinstance(frame, Progress):
                self._fail(WorkerProtocolError(problem=f"{type(frame).__name__} in a stream"))
        return self._events.popleft() if self._events else None

    def vectors(self, is_cancelled: IsCancelled) -> EmbeddingResult:
        """Wait for the answer to an `Embed` and close."""
        return self._whole(Vectors, "embedding", is_cancelled).result

    def scores(self, is_cancelled: IsCancelled) -> RerankResult:
        """Wait for the answer to a `Rerank` and close."""
        return self._whole(Scores, "reranking", is_cancelled).result

    def _whole(self, kind: type[_WholeT], during: str, is_cancelled: IsCancelled) -> _WholeT:
        while True:
            if is_cancelled() or self._is_over:
                self.close()
                raise RequestCancelledError(during=during)
            frame = self._receive(POLL_S)
            if isinstance(frame, kind):
                self.close()
                return frame
            if frame is not None and not isinstance(frame, Progress):
                self._fail(WorkerProtocolError(problem=f"{type(frame).__name__} while {during}"))

    def abort(self, error: PyrunnerError) -> None:
        """Make the reader raise `error` as soon as it looks; any thread."""
        self._end = error
        self._link.shut()

    def close(self) -> None:
        """Cancel, unless finished; any thread."""
        self._is_over = True
        self._link.shut()  # wakes a reader in another thread, who then lets go of the lock
        with self._reading:
            if self._is_linked:
                self._is_linked = False
                self._link.close()
                self._on_close(self)

    def __iter__(self) -> Iterator[Event]:
        """Every event until and including the finish."""
        while not self.is_finished:
            event = self.poll(_BLOCK_S)
            if event is not None:
                yield event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _receive(self, timeout_s: float) -> FromWorker | None:
        with self._reading:
            if self._is_over:
                return None
            try:
                frame = self._link.receive(timeout_s)
            except WorkerProtocolError as error:
                self._fail(error)
        if isinstance(frame, Failed):
            self._fail(from_facts(frame.code, frame.facts))
        if frame is None and self._link.is_at_end and not self._is_over:
            self._fail(self._end or self._describe_end())
        return frame

    def _fail(self, error: PyrunnerError) -> NoReturn:
        self.close()
        raise error
