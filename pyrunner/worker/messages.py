"""What the threads of a worker tell each other.

Orders go down an unbounded queue, because the I/O thread bounds the requests it admits; reports
come up a bounded one with a byte on a socket pair that wakes the I/O thread.
"""

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence

import msgspec

from pyrunner.engine.request import GenerationRequest, StepEvent
from pyrunner.errors import PyrunnerError
from pyrunner.types import EmbeddingResult
from pyrunner.worker.ports import Loop, Parser, Prompts

MAX_REPORTS = 1024
"""Steps that may wait for the I/O thread; then the engine waits (the I/O thread is the faster)."""

_STOP_POLL_S = 0.1


class Submit(msgspec.Struct, frozen=True):
    """Order: generate."""

    request: GenerationRequest


class EmbedInputs(msgspec.Struct, frozen=True):
    """Order: make one vector per input."""

    request_id: int
    inputs: tuple[Sequence[int], ...]
    normalize: bool


class Cancel(msgspec.Struct, frozen=True):
    """Order: nobody wants this answer any more."""

    request_id: int


class Stop(msgspec.Struct, frozen=True):
    """Order: end the thread."""


Order = Submit | EmbedInputs | Cancel | Stop


class Loading(msgspec.Struct, frozen=True):
    """Report: so much of the model is loaded, 0..1."""

    fraction: float


class Loaded(msgspec.Struct, frozen=True):
    """Report: requests can be submitted."""

    loop: Loop
    prompts: Prompts


class LoadFailed(msgspec.Struct, frozen=True):
    """Report: there will be no model."""

    error: PyrunnerError


class Prepared(msgspec.Struct, frozen=True):
    """Report of the prompt thread: what goes to the engine, and what reads the answer's text."""

    request_id: int
    order: Submit | EmbedInputs
    parser: Parser


class Unprepared(msgspec.Struct, frozen=True):
    """Report of the prompt thread: the request cannot be rendered."""

    request_id: int
    error: PyrunnerError


class Stepped(msgspec.Struct, frozen=True):
    """Report: what one step brought."""

    events: Sequence[StepEvent]


class Embedded(msgspec.Struct, frozen=True):
    """Report: the vectors of one request, or why there are none."""

    request_id: int
    result: EmbeddingResult | PyrunnerError


class Broken(msgspec.Struct, frozen=True):
    """Report: the engine thread has ended and no answer will follow."""

    error: PyrunnerError


Report = Loading | Loaded | LoadFailed | Prepared | Unprepared | Stepped | Embedded | Broken


class Mailbox:
    """Reports on their way up: the other threads post, the I/O thread waits on `fileno`."""

    def __init__(self) -> None:
        # PERF(worker): a queue.Queue takes and releases three locks for each token.
        self._reports: deque[Report] = deque()
        self._has_room = threading.Event()
        self._ear, self._bell = socket.socketpair()
        self._ear.settimeout(0.0)
        self._bell.settimeout(0.0)
        self._is_closed = False

    def fileno(self) -> int:
        """Readable when there is something to `take`."""
        return self._ear.fileno()

    @property
    def bell_fd(self) -> int:
        """For `signal.set_wakeup_fd`: any byte wakes the I/O thread."""
        return self._bell.fileno()

    def post(self, report: Report) -> None:
        """Hand a report up, waiting while the box is full; after `close` it is dropped."""
        while len(self._reports) >= MAX_REPORTS and not self._is_closed:
            self._has_room.clear()
            self._has_room.wait(_STOP_POLL_S)  # and look again: `take` may have been faster
        if not self._is_closed:
            self._reports.append(report)
            self.ring()

    def ring(self) -> None:
        """Wake the I/O thread. A full pair is as good: it is awake already."""
        try:
            self._bell.send(b"!")
        except OSError:  # full, or closed
            return

    def take(self) -> Iterator[Report]:
        """Every report that is there."""
        with contextlib.suppress(BlockingIOError):
            self._ear.recv(4096)  # if more has come, the next turn finds it
        while self._reports:
            yield self._reports.popleft()
        if not self._has_room.is_set():
            self._has_room.set()

    def close(self) -> None:
        """The I/O thread ends: nobody takes any more."""
        self._is_closed = True
        self._ear.close()
        self._bell.close()
