"""A connection to a worker, from the server's side: waits with a limit, one thread at a time."""

import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from pyrunner.errors import (
    BusyError,
    ShuttingDownError,
    StoreIOError,
    WorkerProtocolError,
    from_facts,
)
from pyrunner.runtime.ledger import Entry
from pyrunner.runtime.runner import POLL_S
from pyrunner.wire.channel import decoder_of_worker_frames, encode
from pyrunner.wire.frames import (
    PROTOCOL_VERSION,
    Control,
    Failed,
    FromServer,
    FromWorker,
    Hello,
    Mismatch,
    RequestFrame,
    Status,
    Welcome,
)

ANSWER_S = 30.0
"""How long a worker may take to greet; it greets while it loads, so only a stuck one does not."""

STATUS_S = 1.0
"""How long a worker may take to say how it is, before it counts as busy."""

_RECEIVE_BYTES = 64 * 1024


class Link:
    """One connected socket. `close` is for any thread, the rest for the one that reads."""

    def __init__(self, path: str, timeout_s: float = ANSWER_S) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._decoder = decoder_of_worker_frames()
        self._frames: deque[FromWorker] = deque()
        self._damage: WorkerProtocolError | None = None
        self.is_at_end = False
        """The worker closed the connection, or died; what came before is still to be read."""
        try:
            self._socket.settimeout(timeout_s)
            self._socket.connect(path)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def send(self, *frames: FromServer, timeout_s: float, check: Callable[[], None]) -> None:
        """Send; a worker reads at once, so this waits only for one that is stuck.

        Raises:
            ConnectionError: The worker is gone.
            TimeoutError: It has not read everything in `timeout_s`.
            WorkerProtocolError: A frame is too long.
        """
        unsent = memoryview(b"".join(encode(frame) for frame in frames))
        deadline = time.monotonic() + timeout_s
        self._socket.settimeout(POLL_S)
        while unsent:
            try:
                unsent = unsent[self._socket.send(unsent) :]
            except TimeoutError:
                check()
                if time.monotonic() >= deadline:
                    raise

    def receive(self, timeout_s: float) -> FromWorker | None:
        """The next frame; None when none came in time, or `is_at_end`.

        Raises:
            WorkerProtocolError: The bytes are no frames.
        """
        deadline = time.monotonic() + timeout_s
        while not self._frames and not self.is_at_end:
            try:
                self._socket.settimeout(max(0.0, deadline - time.monotonic()))
                data = self._socket.recv(_RECEIVE_BYTES)
            except (TimeoutError, BlockingIOError):
                return None
            except OSError:  # reset, or closed by another thread of ours: no more will come
                data = b""
            self._take(data)
        if not self._frames and self._damage is not None:
            raise self._damage
        return self._frames.popleft() if self._frames else None

    def _take(self, data: bytes) -> None:
        self.is_at_end = not data
        try:
            self._frames.extend(self._decoder.feed(data))
        except WorkerProtocolError as error:
            # The frames before the damage are good, and come first.
            self._damage = error
            self.is_at_end = True

    def rest(self) -> None:
        """Nothing is expected to come from now on: `is_connected` may be asked."""
        self._socket.settimeout(0.0)

    def is_connected(self) -> bool:
        """Whether the other end is there, after `rest`; one system call, any thread."""
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:  # reset, or closed by its owner a moment ago
            return False

    def shut(self) -> None:
        """End the conversation and wake the reader; any thread."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # not connected any more

    def close(self) -> None:
        """Hang up; a request that is in flight is cancelled by it. Only the reader's thread."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def dial(
    entry: Entry,
    request: RequestFrame | Control | None,
    *,
    config_hash: str | None = None,
    timeout_s: float = ANSWER_S,
    check: Callable[[], None] = lambda: None,
) -> Link | None:
    """Connect to a worker, greet it, send a request, and wait for its welcome.

    Args:
        entry: Which worker.
        request: None makes a keeper connection.
        config_hash: What the worker should be; None takes what the ledger says it is. Another
            one makes the worker drain.
        timeout_s: For each of connecting, sending and the welcome.
        check: Called every `POLL_S` while waiting; raises to give up.

    Returns:
        None when the worker is gone or takes no more requests: start another one.

    Raises:
        TimeoutError: It is there but does not answer.
        StoreIOError: This process cannot connect to anything.
        PyrunnerError: It refuses this request.
    """
    hello = Hello(
        version=PROTOCOL_VERSION,
        config_hash=entry.config_hash if config_hash is None else config_hash,
        is_keeper=request is None,
    )
    try:
        link = Link(entry.socket, timeout_s)
    except (ConnectionError, FileNotFoundError):
        return None
    except BlockingIOError as error:  # its backlog is full: it is there, only not at its best
        raise TimeoutError from error
    except TimeoutError:
        raise
    except OSError as error:  # ours, such as too many open files: says nothing of the worker
        raise StoreIOError(path=entry.socket, problem=error.strerror or str(error)) from error
    is_welcome = False
    try:
        is_welcome = _is_welcome(link, hello, request, timeout_s, check)
    finally:
        if not is_welcome:
            link.close()
    return link if is_welcome else None


def ask(entry: Entry, control: Control, timeout_s: float = STATUS_S) -> Status | None:
    """One question, one answer; None when the worker is gone, or has no time for us."""
    try:
        link = dial(entry, control, timeout_s=timeout_s)
        if link is None:
            return None
        with link:
            answer = link.receive(timeout_s)
            return answer if isinstance(answer, Status) else None
    except (TimeoutError, BusyError):
        return None


def _is_welcome(
    link: Link,
    hello: Hello,
    request: RequestFrame | Control | None,
    timeout_s: float,
    check: Callable[[], None],
) -> bool:
    frames = (hello,) if request is None else (hello, request)
    with suppress(ConnectionError):  # it hung up; what it said before is still to be read
        link.send(*frames, timeout_s=timeout_s, check=check)
    deadline = time.monotonic() + timeout_s
    while not link.is_at_end:
        match link.receive(min(POLL_S, timeout_s)):
            case Welcome():
                return True
            case Mismatch():
                return False
            case Failed(code=code, facts=facts):
                error = from_facts(code, facts)
                if isinstance(error, ShuttingDownError):
                    return False
                raise error
            case _:
                check()
                if time.monotonic() >= deadline:
                    raise TimeoutError
    return False
