"""Looking at all workers of a runtime folder, and sending them away."""

import math
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from pyrunner import log
from pyrunner.errors import InvalidReferenceError, ModelNotFoundError, StoreCorruptError
from pyrunner.models.store import Store
from pyrunner.runtime.admission import ask_to_leave
from pyrunner.runtime.launcher import unix_time_s
from pyrunner.runtime.ledger import Entry, Ledger
from pyrunner.runtime.link import ask
from pyrunner.runtime.processes import wait_for_end
from pyrunner.runtime.runner import RunnerStatus
from pyrunner.wire.frames import Control, Status
from pyrunner.wire.launch import EXIT_S

_logger = log.get("runtime")


def statuses(entries: Sequence[Entry]) -> list[RunnerStatus]:
    """Ask every worker how it is."""
    return [_status(entry, ask(entry, Control())) for entry in entries if not entry.is_leaving]


def unload(ledger: Ledger, entries: Sequence[Entry], drain_s: float | None) -> int:
    """Make workers leave and wait for their ends.

    Args:
        ledger: Where they are marked.
        entries: The workers in question.
        drain_s: What requests in flight get; None leaves workers with requests alone.

    Returns:
        How many left.
    """
    leaving = []
    for entry in entries:
        # Asked without the lock: the answer is the worker's own decision.
        is_forced = drain_s is not None
        if ask_to_leave(entry, only_idle=not is_forced) or is_forced:
            leaving.append(entry)
    with ledger.locked() as page:
        for entry in leaving:
            page.mark_leaving(entry.socket)
    deadline = time.monotonic() + (drain_s or 0.0) + EXIT_S
    for entry in leaving:
        if not wait_for_end(entry.pid, entry.started, max(0.0, deadline - time.monotonic())):
            _kill(entry)
    with ledger.locked():
        pass  # their entries and sockets are swept
    return len(leaving)


def wanted(store: Store, models: Sequence[str], entries: Sequence[Entry]) -> list[Entry]:
    """The workers of some models, also of models that the store does not know any more."""
    names: set[str] = set()
    for text in models:
        names.add(text)
        with suppress(InvalidReferenceError):
            names.add(str(store.parse(text)))
        with suppress(InvalidReferenceError, ModelNotFoundError, StoreCorruptError):
            names.add(store.find(text).id)
    return [entry for entry in entries if names & {entry.model_id, entry.reference}]


def _status(entry: Entry, status: Status | None) -> RunnerStatus:
    now = unix_time_s()
    if status is None:
        return RunnerStatus(
            reference=entry.reference,
            model_id=entry.model_id,
            mode=entry.mode,
            pid=entry.pid,
            size_bytes=entry.size_bytes,
            is_loading=False,
            n_in_flight=0,
            last_used=entry.last_used,
            keep_alive_s=math.inf,
            expires_in_s=None,
            is_answering=False,
        )
    n_in_flight = status.n_running + status.n_waiting
    is_counting = status.is_loaded and n_in_flight == 0 and not math.isinf(status.keep_alive_s)
    return RunnerStatus(
        reference=entry.reference,
        model_id=entry.model_id,
        mode=entry.mode,
        pid=entry.pid,
        size_bytes=entry.size_bytes,
        is_loading=not status.is_loaded,
        n_in_flight=n_in_flight,
        last_used=now - status.idle_s,
        keep_alive_s=status.keep_alive_s,
        expires_in_s=max(0.0, status.keep_alive_s - status.idle_s) if is_counting else None,
        info=status.info,
    )


def _kill(entry: Entry) -> None:
    if entry.is_alive():
        _logger.warning("worker %d does not end; killed", entry.pid)
        with suppress(ProcessLookupError):
            os.kill(entry.pid, signal.SIGKILL)
        wait_for_end(entry.pid, entry.started, EXIT_S)
