"""Pulls and pushes: each on a thread of its own, its progress read by the request's thread.

The thread ends when its work does, or soon after nobody reads any more; what a
pull had by then stays on disk, and the next one resumes from there.
"""

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from time import monotonic

from pyrunner import log
from pyrunner.errors import RequestCancelledError
from pyrunner.models.progress import Mode, OnProgress, ProgressEvent
from pyrunner.server.admission import Admission, Ticket
from pyrunner.server.waiting import POLL_S, ClientWatch

N_PULLS = 2
"""Pulls that run at once; further ones wait for a slot, as many as `Admission` lets in."""

QUIET_WAIT_S = 1.0
"""A pull that waits longer for a slot says so."""
_WAITING = "Waiting for a place among the pulls"

_MAX_LINES = 256
"""Progress lines waiting for a slow reader; more are dropped, the last ones never."""

_logger = log.get("server")


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None


Work = Callable[[OnProgress, threading.Event], object]
"""A pull or a push: told whom to tell, and which event ends its waiting."""


class Transfer:
    """One running pull or push. `lines` is for one thread; `cancel` and `join` for any."""

    def __init__(self, work: Work, on_end: Callable[[], None]) -> None:
        self._work = work
        self._on_end = on_end
        self._queue: queue.Queue[ProgressEvent | _End] = queue.Queue(_MAX_LINES)
        self._is_cancelled = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, name: str) -> None:
        """Start the thread; called once."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End what the work waits for, and make its next progress the last."""
        self._is_cancelled.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; whether it has ended."""
        thread = self._thread
        if thread is None:
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def lines(self, watch: ClientWatch) -> Iterator[ProgressEvent]:
        """Progress until the work has ended or the client is gone.

        Raises:
            PyrunnerError: The work failed, or the server has to end.
        """
        while not watch.is_gone():
            watch.check_open()
            try:
                item = self._queue.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if not isinstance(item, _End):
                yield item
            elif item.error is None:
                return
            else:
                raise item.error

    def _run(self) -> None:
        try:
            self._work(self._on_progress, self._is_cancelled)
        except Exception as error:  # noqa: BLE001  # a thread's root; the reader raises it again
            self._put(_End(error))
        else:
            self._put(_End(None))
        finally:
            self._on_end()

    def _on_progress(self, event: ProgressEvent) -> None:
        if self._is_cancelled.is_set():
            raise RequestCancelledError(during="a transfer")
        if event.type != "progress":
            self._put(event)
        elif not self._queue.full():
            self._queue.put_nowait(event)

    def _put(self, item: "ProgressEvent | _End") -> None:
        while not self._is_cancelled.is_set():
            try:
                self._queue.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            return


class Transfers:
    """Every running transfer of this server. Any thread.

    `_lock` protects `_running`.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._pull_slots = threading.BoundedSemaphore(N_PULLS)
        self._lock = threading.Lock()
        self._running: set[Transfer] = set()
        self._numbers = itertools.count(1)

    def admit(self) -> Ticket:
        """Take a place among the slow answers; the thread of a transfer gives it back.

        Raises:
            BusyError: All places are taken, or the server is ending.
        """
        return self._admission.transfers.admit()

    def start(self, mode: Mode, work: Work) -> Transfer:
        """Run `work` on a thread of its own; a pull waits there for a slot, and says so.

        Raises:
            BusyError: All places are taken, or the server is ending.
        """
        ticket = self.admit()
        in_turn = partial(self._in_slot, work) if mode == "pull" else work
        transfer = Transfer(in_turn, lambda: self._end(transfer, ticket))
        with self._lock:
            self._running.add(transfer)
        transfer.start(f"transfer-{next(self._numbers)}")
        return transfer

    def close(self, deadline_s: float) -> None:
        """Cancel every transfer and wait for their threads, `deadline_s` seconds in total."""
        with self._lock:
            running = list(self._running)
        for transfer in running:
            transfer.cancel()
        end = monotonic() + deadline_s
        for transfer in running:
            if not transfer.join(max(0.0, end - monotonic())):
                _logger.warning("a transfer did not end in %g s", deadline_s)

    def _in_slot(self, work: Work, on_progress: OnProgress, is_cancelled: threading.Event) -> None:
        self._wait_for_slot(on_progress, is_cancelled)
        try:
            work(on_progress, is_cancelled)
        finally:
            self._pull_slots.release()

    def _wait_for_slot(self, on_progress: OnProgress, is_cancelled: threading.Event) -> None:
        say_at, is_said = monotonic() + QUIET_WAIT_S, False
        while not self._pull_slots.acquire(timeout=POLL_S):
            if is_cancelled.is_set():
                raise RequestCancelledError(during="a transfer")
            if not is_said and monotonic() >= say_at:
                on_progress(ProgressEvent(type="progress", message=_WAITING, mode="pull"))
                is_said = True

    def _end(self, transfer: Transfer, ticket: Ticket) -> None:
        ticket.release()
        with self._lock:
            self._running.discard(transfer)
