"""Which worker takes a request: the one there is, or a new one when memory allows it."""

import math
import os
import signal
from collections.abc import Collection
from contextlib import suppress

from pyrunner import log
from pyrunner.errors import BusyError, StoreError
from pyrunner.models.store import Lease, Store
from pyrunner.runtime import policy
from pyrunner.runtime.launcher import Launcher, Plan
from pyrunner.runtime.ledger import Entry, Ledger, Page
from pyrunner.runtime.link import STATUS_S, ask, dial
from pyrunner.runtime.policy import Evict, Fits, Resident, Wait
from pyrunner.runtime.waiting import Wait as Patience
from pyrunner.wire.frames import Control, Status

_logger = log.get("runtime")


class Admission:
    """Decides under the ledger's lock. Any thread, any number of processes.

    Args:
        store: Gives the lease that the worker inherits.
        ledger: Of the runtime folder.
        launcher: For the same folder.
        budget_bytes: What all workers may take together.
    """

    def __init__(self, store: Store, ledger: Ledger, launcher: Launcher, budget_bytes: int) -> None:
        self._store = store
        self._ledger = ledger
        self._launcher = launcher
        self._budget_bytes = budget_bytes

    def admit(
        self,
        plan: Plan,
        keep_alive_s: float | None,
        gone: Collection[str],
        patience: Patience,
    ) -> Entry:
        """Find the worker of a model or start it, making room first.

        Args:
            plan: What to load.
            keep_alive_s: For a worker that is started.
            gone: Sockets that were tried and did not answer.
            patience: Of the caller.

        Raises:
            MemoryBudgetError, ModelTooLargeError: No room.
            ModelNotFoundError: The model, or its draft model, was removed meanwhile.
            PyrunnerError: What `patience` raises.
        """
        entry = self._existing(plan, gone, patience)
        if entry is not None:
            return entry
        # Outside the ledger's lock: a collection in the store can take seconds.
        _, lease = self._store.acquire(plan.model.id, [] if plan.draft is None else [plan.draft])
        try:
            while True:
                entry = self._try(plan, keep_alive_s, lease, patience)
                if entry is not None:
                    return entry
                patience.pause()
        finally:
            lease.close()  # unless a worker has it now

    def _existing(self, plan: Plan, gone: Collection[str], patience: Patience) -> Entry | None:
        with self._ledger.locked(patience.check) as page:
            for socket in gone:
                page.mark_leaving(socket)
            return self._matching(plan, page)

    def _try(
        self, plan: Plan, keep_alive_s: float | None, lease: Lease, patience: Patience
    ) -> Entry | None:
        """One decision; None when it has to be made again later."""
        with self._ledger.locked(patience.check) as page:
            entry = self._matching(plan, page)
            if entry is not None:
                return entry
            residents = _residents(page, plan.footprint.size_bytes, self._budget_bytes)
            match policy.admit(plan.footprint.size_bytes, self._budget_bytes, residents):
                case Fits():
                    entry = self._launcher.start(plan, keep_alive_s, lease)
                    _enter(page, entry)
                    return entry
                case Evict(sockets):
                    _evict(page, sockets)
                case Wait():
                    pass
        return None

    def _matching(self, plan: Plan, page: Page) -> Entry | None:
        entry = page.find(plan.model.id, plan.mode)
        if entry is None or entry.config_hash == plan.config_hash:
            return entry
        # Another configuration, or another version of us: our greeting makes it drain.
        _logger.info("worker %d of %s has another configuration", entry.pid, entry.reference)
        dismiss(entry, plan.config_hash)
        page.mark_leaving(entry.socket)
        return None


def ask_to_leave(entry: Entry, *, only_idle: bool) -> bool:
    """Ask a worker to unload; whether it leaves (or is gone)."""
    if not entry.is_alive():
        return True
    status = ask(entry, Control(is_unload=True, if_idle=only_idle))
    return status is not None and status.is_unloading


def is_busy(status: Status) -> bool:
    """Whether a worker may not be evicted now."""
    return not status.is_loaded or status.n_running + status.n_waiting > 0


def dismiss(entry: Entry, config_hash: str) -> None:
    """Make a worker drain by greeting it as what it is not."""
    try:
        link = dial(entry, None, config_hash=config_hash, timeout_s=STATUS_S)
    except (TimeoutError, BusyError):
        return
    if link is not None:
        link.close()


def _enter(page: Page, entry: Entry) -> None:
    """Write a new worker down; one that nobody would count must not live."""
    page.put(entry)
    try:
        page.save()
    except StoreError:
        page.remove(entry.socket)
        with suppress(ProcessLookupError):
            os.kill(entry.pid, signal.SIGTERM)
        raise


def _evict(page: Page, sockets: tuple[str, ...]) -> None:
    for entry in page.entries():
        # One that declines has become busy: the next decision sees it.
        if entry.socket in sockets and ask_to_leave(entry, only_idle=True):
            _logger.info("worker %d evicts %s", entry.pid, entry.reference)
            page.mark_leaving(entry.socket)


def _residents(page: Page, needed_bytes: int, budget_bytes: int) -> list[Resident]:
    entries = page.entries()
    is_short = needed_bytes + sum(entry.size_bytes for entry in entries) > budget_bytes
    return [_resident(page, entry, ask_it=is_short) for entry in entries]


def _resident(page: Page, entry: Entry, *, ask_it: bool) -> Resident:
    status = ask(entry, Control()) if ask_it and not entry.is_leaving else None
    is_leaving = entry.is_leaving or (status is not None and status.is_unloading)
    if is_leaving:
        page.mark_leaving(entry.socket)
    return Resident(
        socket=entry.socket,
        size_bytes=entry.size_bytes,
        last_used=-math.inf if status is None else -status.idle_s,
        is_busy=status is None or is_busy(status),
        keep_alive_s=math.inf if status is None else status.keep_alive_s,
        is_leaving=is_leaving,
    )
