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
from pyrunner.errors import RegistryProtocolError, RegistryUnavailableError
from pyrunner.registry.asking import Answer, another_length, ask
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.mirrors import Mirror, MirrorAnswer, reject
from pyrunner.registry.pace import Pace
from pyrunner.registry.ranges import RangePlan, Span
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
    """A whole blob with more bytes than promised."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class _Copied(NamedTuple):
    at: int
    """How far a body came."""
    error: RegistryUnavailableError
    """Why not further, if that was not its end."""


def fetch_blob(
    source: BlobSource,
    descriptor: Descriptor,
    sink: BlobSink,
    cancelled: threading.Event,
    on_bytes: Callable[[int], None],
    plan: RangePlan = DEFAULT_PLAN,
) -> Sequence[MirrorAnswer]:
    """Fill a sink up to the descriptor's size, starting with what it has.

    A source that ignores ranges and answers 200, twice if bytes are here, restarts the transfer
    at zero, over one connection. A whole blob with more bytes than promised ends it, so an
    endless body ends there. A mirror that errs or breaks off is left out and somebody else asked.

    Args:
        source: Where the blob is.
        descriptor: What it has to be.
        sink: Keeps its bytes whatever happens here; its owner verifies and publishes.
        cancelled: Set by another thread to stop.
        on_bytes: Told in this thread how much the sink has, many times a second.
        plan: How a large blob is divided.

    Returns:
        An answer of each mirror that sent any of it, to be given up if the digest is wrong.

    Raises:
        DigestMismatchError: The source has a blob of another length.
        ModelNotFoundError: It has none.
        RegistryAuthError: 401 or 403 after one new token.
        RegistryUnavailableError: Broken off too often, or cancelled. The sink can be continued.
    """
    can_continue, n_restarts = True, 0
    senders: dict[Mirror, MirrorAnswer] = {}
    whole = Span(0, descriptor.size)
    while sink.n_bytes < descriptor.size:
        holes = sink.missing()
        pieces = plan.cut(holes) if plan.is_for(holes) else holes
        wanted = pieces[0] if can_continue else whole
        answer = ask(source, descriptor, wanted, cancelled, keeps=sink.n_bytes > 0)
        if answer is None and wanted != whole:
            answer = ask(source, descriptor, whole, cancelled, keeps=False)
        if answer is None:
            raise RegistryProtocolError(registry=source.name, problem="no answer with a whole blob")
        is_whole = answer.span != pieces[0]
        try:
            with answer.response:
                if is_whole:
                    sink.restart()  # only now: what is here outlives an answer that is no blob
                elif len(pieces) > 1:
                    sink.spread()
                fetch = _Fetch(source, descriptor, sink, [] if is_whole else pieces[1:], senders)
                fetch.run(answer, plan.n_ranges, cancelled, on_bytes)
        except _NoRangeError as error:
            can_continue, n_restarts = False, n_restarts + 1
            if n_restarts >= source.max_attempts:
                problem = error.problem or "it cannot continue"
                raise RegistryUnavailableError(registry=source.name, problem=problem) from error
        except _TooLongError as error:
            sink.restart()
            wrong = another_length(descriptor, "of a longer blob", descriptor.size + 1)
            if not reject(error.response, wrong):
                raise wrong from error
    on_bytes(sink.n_bytes)
    return tuple(senders.values())


class _Fetch:
    """The threads that bring the pieces of one blob, until all are there or one has failed.

    One that the source turns away leaves its piece to the others, or, if those have ended, to
    whoever looks at what is missing afterwards; the last one's failure is everybody's.
    `_lock` protects `_pieces`, `_open`, `_senders` and `_n_workers`.
    """

    def __init__(
        self,
        source: BlobSource,
        descriptor: Descriptor,
        sink: BlobSink,
        pieces: Sequence[Span],
        senders: dict[Mirror, MirrorAnswer],
    ) -> None:
        self._source = source
        self._descriptor = descriptor
        self._sink = sink
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._pieces = deque(pieces)
        self._open: set[Response] = set()
        self._senders = senders
        self._n_workers = 1
        """Threads that have not been turned away."""

    def run(
        self,
        answer: Answer,
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
            with self._lock:
                self._n_workers += n_more
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
                raise self._unavailable("cancelled")
            on_bytes(self._sink.n_bytes)
            for each in done:
                each.result()
            if is_alone and pace.is_slow(self._sink.n_bytes):
                pending |= set(join())
                is_alone = False
            self._sink.follow(_FOLLOW_BYTES)

    def _work(self, answer: Answer | None) -> None:
        span, response = (self._next(), None) if answer is None else answer
        while span is not None and self._bring(span, response):
            span, response = self._next(), None

    def _next(self) -> Span | None:
        with self._lock:
            return None if self._stop.is_set() or not self._pieces else self._pieces.popleft()

    def _hand_back(self, span: Span) -> bool:
        """Leave a piece to the other threads; False when all of them were turned away before."""
        with self._lock:
            if self._n_workers == 1 or self._stop.is_set():
                return False
            self._n_workers -= 1
            self._pieces.appendleft(span)
            return True

    def _bring(self, span: Span, response: Response | None) -> bool:
        """Bring one piece, asking again for the rest when a body breaks off.

        Returns:
            Whether it came; else the source wants fewer connections, and others bring the rest.
        """
        at, n_failed, problem = span.first, 0, ""
        while True:
            # Asking has had its attempts; only a body that breaks off is asked for again.
            rest = Span(at, span.end)
            try:
                response = response or self._ask(rest, problem)
            except RegistryUnavailableError:
                if self._hand_back(rest):
                    return False
                raise
            sender, response = response, None
            at, error = self._copy(sender, rest)
            if at == span.end:
                return True
            if self._stop.is_set():
                raise self._unavailable("cancelled")
            if reject(sender, error):
                continue
            problem = error.problem
            n_failed = 1 if at - rest.first >= PROGRESS_BYTES else n_failed + 1
            if n_failed >= self._source.max_attempts:
                raise error
            self._source.pause(n_failed, self._stop)

    def _ask(self, span: Span, problem: str) -> Response:
        answer = ask(self._source, self._descriptor, span, self._stop, keeps=True)
        if answer is None:
            raise _NoRangeError(problem)
        if answer.span != span:
            answer.response.close()
            raise _NoRangeError(problem)
        return answer.response

    def _copy(self, response: Response, span: Span) -> _Copied:
        """Write a body."""
        at, error = span.first, self._unavailable("it broke off")
        with self._lock:
            if self._stop.is_set():  # nobody would abort it any more
                response.close()
                return _Copied(at, error)
            self._open.add(response)
            if isinstance(response, MirrorAnswer):
                self._senders[response.mirror] = response
        try:
            with response:
                for chunk in response.chunks():
                    room = span.end - at
                    if self._stop.is_set():
                        break
                    if len(chunk) > room and response.status == 200:
                        raise _TooLongError(response)
                    self._sink.write_at(at, chunk[:room])
                    at += len(chunk[:room])
                    if len(chunk) > room:
                        break  # the stretch is whole; what follows it goes with the connection
        except RegistryUnavailableError as caught:
            error = caught
        finally:
            with self._lock:
                self._open.discard(response)
        return _Copied(at, error)

    def _unavailable(self, problem: str) -> RegistryUnavailableError:
        return RegistryUnavailableError(registry=self._source.name, problem=problem)
