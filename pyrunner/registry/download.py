"""One blob from a far place into a sink: over one connection or several, continued when broken.

The caller's thread asks first, follows with the digest and tells progress; the bytes come in
threads named ``range_N``, which end with the call.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import NamedTuple, Protocol

from pyrunner.config import RegistryConfig
from pyrunner.errors import (
    DigestMismatchError,
    RegistryProtocolError,
    RegistryUnavailableError,
)
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.pace import Pace
from pyrunner.registry.ranges import RangePlan, Span, content_range
from pyrunner.registry.source import BlobSource, RegistryBlob
from pyrunner.registry.transport import Response

__all__ = ["BlobSink", "BlobSource", "RegistryBlob", "fetch_blob"]

PROGRESS_BYTES = 16 * 1024 * 1024
"""An attempt that brought this much does not count as a failed one."""
DEFAULT_PLAN = RangePlan.of(RegistryConfig())
_FOLLOW_BYTES = 64 * 1024 * 1024
"""Hashed between two looks at what the threads did."""
_POLL_S = 0.01


class BlobSink(Protocol):
    """Where a blob's bytes go; it checks them. `write_at` from any thread, the rest from one."""

    @property
    def n_bytes(self) -> int:
        """How much is there."""

    def missing(self) -> Sequence[Span]:
        """What is not there, in order."""

    def spread(self) -> None:
        """Get ready for bytes in any order."""

    def write_at(self, offset: int, chunk: bytes) -> None:
        """Put bytes where they belong."""

    def follow(self, max_bytes: int) -> bool:
        """Hash what is there in order; whether there was anything new."""

    def restart(self) -> None:
        """Forget what is there."""


class _NoRangeError(Exception):
    """The source cannot give the middle of a blob, or not any more; why it was asked again."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class _TooLongError(Exception):
    """More bytes than were asked for."""


class _Answer(NamedTuple):
    span: Span
    """What it brings."""
    response: Response


def fetch_blob(
    source: BlobSource,
    descriptor: Descriptor,
    sink: BlobSink,
    cancelled: threading.Event,
    on_bytes: Callable[[int], None],
    plan: RangePlan = DEFAULT_PLAN,
) -> None:
    """Fill a sink up to the descriptor's size, starting with what it has.

    A source that ignores ranges and answers 200 restarts the transfer at zero, over one
    connection. More bytes than promised end it, so an endless body ends there.

    Args:
        source: Where the blob is.
        descriptor: What it has to be.
        sink: Keeps its bytes whatever happens here; its owner verifies and publishes.
        cancelled: Set by another thread to stop.
        on_bytes: Told in this thread how much the sink has, many times a second.
        plan: How a large blob is divided.

    Raises:
        DigestMismatchError: The source has a blob of another length.
        ModelNotFoundError: It has none.
        RegistryAuthError: 401 or 403 after one new token.
        RegistryUnavailableError: Broken off too often, or cancelled. The sink can be continued.
    """
    can_continue, n_restarts = True, 0
    while sink.n_bytes < descriptor.size:
        holes = sink.missing()
        pieces = plan.cut(holes) if plan.is_for(holes) else holes
        answer = _ask(source, descriptor, pieces[0], cancelled) if can_continue else None
        if answer is None:
            answer = _ask(source, descriptor, Span(0, descriptor.size), cancelled)
        if answer is None:
            raise RegistryProtocolError(registry=source.name, problem="no answer with a whole blob")
        is_whole = answer.span != pieces[0]
        try:
            with answer.response:
                if is_whole:
                    sink.restart()  # only now: what is here outlives an answer that is no blob
                elif len(pieces) > 1:
                    sink.spread()
                fetch = _Fetch(source, descriptor, sink, [] if is_whole else pieces[1:])
                fetch.run(answer, plan.n_ranges, cancelled, on_bytes)
        except _NoRangeError as error:
            can_continue, n_restarts = False, n_restarts + 1
            if n_restarts >= source.max_attempts:
                problem = error.problem or "it cannot continue"
                raise RegistryUnavailableError(registry=source.name, problem=problem) from error
        except _TooLongError as error:
            sink.restart()
            raise _another_length(descriptor, "of a longer blob", descriptor.size + 1) from error
    on_bytes(sink.n_bytes)


def _ask(
    source: BlobSource, descriptor: Descriptor, span: Span, cancelled: threading.Event
) -> _Answer | None:
    """Ask for a stretch.

    Returns:
        What was asked for, or the whole blob; None when it is another stretch or none.

    Raises:
        DigestMismatchError: The blob there has another length.
    """
    last = None if span.end == descriptor.size else span.end - 1
    response = source.open(span.first, last, cancelled)
    part = content_range(response.headers) if response.status == 206 else None
    length = response.headers.get("Content-Length", "")
    total: int | None = descriptor.size
    answer = None
    if response.status == 200:
        total = int(length) if length.isdecimal() else None
        answer = _Answer(Span(0, descriptor.size), response)
    elif part is not None:
        total = part.total
        answer = _Answer(span, response) if part.span == span else None
    if total not in {None, descriptor.size}:
        response.close()
        raise _another_length(descriptor, "of another length", total or 0)
    if answer is None:
        response.close()
    return answer


def _another_length(descriptor: Descriptor, actual: str, size_bytes: int) -> DigestMismatchError:
    return DigestMismatchError(
        expected=descriptor.digest.text, actual=actual, size_bytes=size_bytes
    )


class _Fetch:
    """The threads that bring the pieces of one blob, until all are there or one has failed.

    `_lock` protects `_pieces` and `_open`.
    """

    def __init__(
        self, source: BlobSource, descriptor: Descriptor, sink: BlobSink, pieces: Sequence[Span]
    ) -> None:
        self._source = source
        self._descriptor = descriptor
        self._sink = sink
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._pieces = deque(pieces)
        self._open: set[Response] = set()

    def run(
        self,
        answer: _Answer,
        n_ranges: int,
        cancelled: threading.Event,
        on_bytes: Callable[[int], None],
    ) -> None:
        """Bring everything; the answer to the first question is there already.

        One connection begins, and the others join once it turns out to be slow.
        """
        n_more = min(n_ranges - 1, len(self._pieces))
        executor = ThreadPoolExecutor(1 + n_more, thread_name_prefix="range")

        def join() -> Iterator[Future[None]]:
            return (executor.submit(self._work, None) for _ in range(n_more))

        try:
            pending = {executor.submit(self._work, answer)}
            self._watch(pending, join, cancelled, on_bytes)
        finally:
            # Whatever ended this: no thread outlives it, and none waits for a silent source.
            with self._lock:
                self._stop.set()
                for response in self._open:
                    response.abort()
            executor.shutdown(wait=True, cancel_futures=True)

    def _watch(
        self,
        pending: "set[Future[None]]",
        join: "Callable[[], Iterator[Future[None]]]",
        cancelled: threading.Event,
        on_bytes: Callable[[int], None],
    ) -> None:
        pace, is_alone = Pace(self._sink.n_bytes, time.monotonic), True
        while pending:
            done, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
            if cancelled.is_set():
                raise self._cancelled()
            on_bytes(self._sink.n_bytes)
            for each in done:
                each.result()
            if is_alone and pace.is_slow(self._sink.n_bytes):
                pending |= set(join())
                is_alone = False
            self._sink.follow(_FOLLOW_BYTES)

    def _work(self, answer: _Answer | None) -> None:
        if answer is not None:
            self._bring(answer.span, answer.response)
        while True:
            with self._lock:
                if not self._pieces or self._stop.is_set():
                    return
                span = self._pieces.popleft()
            self._bring(span, None)

    def _bring(self, span: Span, response: Response | None) -> None:
        """Bring one piece, asking again for the rest when a body breaks off."""
        at, n_failed, problem = span.first, 0, ""
        while True:
            # Asking has had its attempts; only a body that breaks off is asked for again.
            if response is None:
                answer = _ask(self._source, self._descriptor, Span(at, span.end), self._stop)
                if answer is None or answer.span != Span(at, span.end):
                    raise _no_range(answer, problem)
                response = answer.response
            before = at
            at, problem = self._copy(response, Span(at, span.end))
            response = None
            if at == span.end:
                return
            if self._stop.is_set():
                raise self._cancelled()
            n_failed = 1 if at - before >= PROGRESS_BYTES else n_failed + 1
            if n_failed >= self._source.max_attempts:
                raise RegistryUnavailableError(registry=self._source.name, problem=problem)
            self._source.pause(n_failed, self._stop)

    def _copy(self, response: Response, span: Span) -> tuple[int, str]:
        """Write a body; how far it came, and why not further."""
        at, problem = span.first, "it broke off"
        with self._lock:
            self._open.add(response)
        try:
            with response:
                for chunk in response.chunks():
                    if self._stop.is_set():
                        break
                    if at + len(chunk) > span.end:
                        raise _TooLongError
                    self._sink.write_at(at, chunk)
                    at += len(chunk)
        except RegistryUnavailableError as error:
            problem = error.problem
        finally:
            with self._lock:
                self._open.discard(response)
        return at, problem

    def _cancelled(self) -> RegistryUnavailableError:
        return RegistryUnavailableError(registry=self._source.name, problem="cancelled")


def _no_range(answer: _Answer | None, problem: str) -> _NoRangeError:
    if answer is not None:
        answer.response.close()
    return _NoRangeError(problem)
