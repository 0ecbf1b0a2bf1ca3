"""The runtime as servers see it: ask for a model, get a runner."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

from pyrunner import log
from pyrunner.config import Settings
from pyrunner.errors import (
    BusyError,
    ConfigError,
    ModelFileError,
    ModelLoadingError,
    ModelNotFoundError,
    ShuttingDownError,
    StoreCorruptError,
    StoreError,
    from_facts,
)
from pyrunner.models.store import Store, StoredModel
from pyrunner.runtime import census
from pyrunner.runtime.admission import Admission, dismiss
from pyrunner.runtime.folder import RuntimeFolder
from pyrunner.runtime.interpreter import module_command
from pyrunner.runtime.launcher import Launcher, Plan
from pyrunner.runtime.ledger import Entry, Ledger
from pyrunner.runtime.link import dial
from pyrunner.runtime.local import MAX_ATTEMPTS, LocalRunner, Ready, crash_of
from pyrunner.runtime.planning import Planner
from pyrunner.runtime.processes import children, how_it_ended, wait_for_end
from pyrunner.runtime.runner import POLL_S, IsCancelled, Runner, RunnerStatus, never_cancelled
from pyrunner.runtime.spare import Spare
from pyrunner.runtime.stream import OpenStreams
from pyrunner.runtime.supervisor import Supervisor
from pyrunner.runtime.waiting import Wait
from pyrunner.types import ModelInfo, ModelMode
from pyrunner.wire.frames import Control, Failed, Status
from pyrunner.wire.launch import EXIT_LOAD_FAILED, EXIT_S

__all__ = ["Runtime"]

_logger = log.get("runtime")

_ADOPT_S = 2.0
"""Longest wait of a starting server for one worker that it finds."""


class Runtime:
    """Loads models on demand and keeps them within the memory budget. Any thread.

    Making one costs nothing: folders, the ``supervisor`` thread and workers come with the first
    use. Several of them, in one process or many, share the workers of one runtime folder.

    Args:
        settings: `engine`, `runtime`, `log` and the runtime folder are read.
        store: Where models are found and leased.
        command: The worker program, instead of this package's own.
    """

    def __init__(
        self, settings: Settings, store: Store, command: Sequence[str] | None = None
    ) -> None:
        self._settings = settings
        self._store = store
        self._folder = RuntimeFolder(settings.runtime_dir)
        self._ledger = Ledger(self._folder)
        command = command or module_command("pyrunner.worker")
        self._streams = OpenStreams()
        self._spare = Spare(command, lambda: self._streams.n_open == 0)
        self._launcher = Launcher(settings, self._folder, command, self._spare)
        self._planner = Planner(settings, store)
        budget = self._planner.budget_bytes
        self._admission = Admission(store, self._ledger, self._launcher, budget)
        self._supervisor = Supervisor(self._on_ended)
        # Written and read without a lock: a stale entry only costs a second look.
        self._ready: dict[tuple[str, ModelMode], Ready] = {}

    def ensure_ready(
        self,
        model_text: str,
        *,
        mode: ModelMode = ModelMode.COMPLETION,
        keep_alive_s: float | None = None,
        deadline_s: float | None = None,
        is_cancelled: IsCancelled = never_cancelled,
    ) -> Runner:
        """Find the model, load it unless it is, and wait until it is.

        However many callers ask, in this process or another, one worker is started. It belongs
        to the runtime: a caller that gives up does not stop it. A model that is ready costs two
        small reads in the store.

        Args:
            model_text: Anything `Store.find` knows.
            mode: One model can be loaded once per mode.
            keep_alive_s: The worker's new idle time; None leaves it, or takes the setting.
            deadline_s: Seconds to wait at most; None takes `RuntimeConfig.load_timeout_s`.
            is_cancelled: Asked while waiting.

        Raises:
            ModelNotFoundError: Not in the store.
            ConfigError: Its draft model is not in the store.
            ModelFileError: It has no GGUF weights, or they are damaged; or its draft model cannot
                guess for it.
            MemoryBudgetError: Retryable. What is loaded is in use (or kept forever).
            ModelTooLargeError: It would not fit an empty machine.
            ModelLoadingError: Retryable. The deadline passed; loading goes on.
            ModelLoadError: llama.cpp refused the file. Also OutOfMemoryError.
            WorkerCrashedError: Retryable. The worker ended while loading.
            ShuttingDownError: `close` was called; or, of a worker, it was unloaded again and again.
            RequestCancelledError: `is_cancelled` said so.
        """
        self._streams.check_open()
        model = self._store.find(model_text)
        timeout_s = self._settings.runtime.load_timeout_s if deadline_s is None else deadline_s
        ready = self._ready.get((model.id, mode))
        if ready is None or keep_alive_s is not None or not self._supervisor.keeps(ready.entry):
            wait = self._wait(model_text, timeout_s, is_cancelled)
            ready = self._make_ready(model, mode, keep_alive_s, wait, set())

        def renew(gone: str) -> Ready:
            again = self._wait(model_text, timeout_s, is_cancelled)
            return self._make_ready(model, mode, keep_alive_s, again, {gone})

        check = self._wait(model_text, math.inf, is_cancelled).check
        return LocalRunner(model, ready, renew, self._streams, check)

    def running(self) -> list[RunnerStatus]:
        """Every worker of the runtime folder that takes requests, oldest first.

        Costs one round trip per worker; one that does not answer in a second is listed by what
        the ledger knows.
        """
        children.reap()
        return census.statuses(self._ledger.snapshot())

    def unload(self, models: Sequence[str] | None = None, *, only_idle: bool = True) -> int:
        """Make workers leave, and wait until their memory is back (`drain_s` and `EXIT_S` at most).

        Args:
            models: As for `ensure_ready`; also of models that were removed. None means all.
            only_idle: Leave workers with requests in flight alone; otherwise these get `drain_s`
                to finish and are then ended.

        Returns:
            How many workers left.
        """
        entries = self._ledger.snapshot()
        if models is not None:
            entries = census.wanted(self._store, models, entries)
        if not entries:
            return 0
        drain_s = None if only_idle else self._settings.runtime.drain_s
        return census.unload(self._ledger, entries, drain_s)

    def adopt(self) -> int:
        """Take over workers that a server before this one left; called once at a server's start.

        Those with another version or configuration are told to drain.

        Returns:
            How many were taken over.
        """
        n_adopted = 0
        for entry in self._ledger.snapshot():
            try:
                plan = self._plan(self._store.find(entry.model_id), entry.mode)
            except (ConfigError, ModelNotFoundError, ModelFileError, StoreCorruptError):
                continue  # nobody can ask for it any more: it leaves when its grace is over
            if plan.config_hash != entry.config_hash:
                dismiss(entry, plan.config_hash)
            elif not entry.is_leaving and self._is_adopted(entry):
                n_adopted += 1
        return n_adopted

    def keep_spare(self) -> None:
        """From now on have one worker process ready for the next model that is loaded."""
        self._spare.keep()

    def log_path(self, model_text: str, mode: ModelMode = ModelMode.COMPLETION) -> Path:
        """Where the workers of a model write; the file may not exist (yet).

        Raises:
            ModelNotFoundError: Not in the store.
        """
        return self._folder.log_path(self._store.find(model_text).id, mode)

    def log_paths(self) -> list[Path]:
        """Log files of all workers, also of ended ones, oldest change first."""
        return self._folder.log_paths()

    def close(self, deadline_s: float | None = None) -> None:
        """Take no more requests, let streams finish, let go of the workers. Idempotent.

        Workers that no other server uses leave within `orphan_grace_s`.

        Args:
            deadline_s: Seconds that open streams get; None takes `RuntimeConfig.drain_s`. What is
                still open then ends with `ShuttingDownError`.
        """
        self._streams.refuse(ShuttingDownError(what="server"))
        self._streams.drain(self._settings.runtime.drain_s if deadline_s is None else deadline_s)
        self._supervisor.close()
        self._spare.close()
        children.reap()

    def _wait(
        self, what: str, deadline_s: float, is_cancelled: IsCancelled = never_cancelled
    ) -> Wait:
        return Wait(what, deadline_s, is_cancelled, self._streams.check_open)

    def _plan(self, model: StoredModel, mode: ModelMode) -> Plan:
        return self._planner.plan(model, mode)

    def _make_ready(
        self,
        model: StoredModel,
        mode: ModelMode,
        keep_alive_s: float | None,
        wait: Wait,
        gone: set[str],
    ) -> Ready:
        self._folder.prepare()
        plan = self._plan(model, mode)
        for _ in range(MAX_ATTEMPTS):
            entry = self._admission.admit(plan, keep_alive_s, gone, wait)
            info = self._await_loaded(entry, keep_alive_s, wait)
            if info is not None:
                ready = Ready(entry, info)
                self._ready[entry.key] = ready
                return ready
            _raise_crash(entry)
            gone.add(entry.socket)
        # Nobody crashed: somebody unloads the model each time it has been asked for.
        raise ShuttingDownError(what="worker")

    def _await_loaded(
        self, entry: Entry, keep_alive_s: float | None, wait: Wait
    ) -> ModelInfo | None:
        """Wait until a worker has loaded; None when it left instead."""
        if not self._keep(entry, wait):
            return None
        control = Control(wait_ready=True, keep_alive_s=keep_alive_s)
        try:
            link = dial(entry, control, check=wait.check)
        except TimeoutError as error:
            raise ModelLoadingError(reference=entry.reference) from error
        if link is None:
            return None
        with link:
            while not link.is_at_end:
                wait.check()
                frame = link.receive(POLL_S)
                if isinstance(frame, Status):
                    return frame.info
                if isinstance(frame, Failed):
                    refusal = from_facts(frame.code, frame.facts)
                    if isinstance(refusal, ShuttingDownError):
                        return None
                    raise refusal
        return None

    def _is_adopted(self, entry: Entry) -> bool:
        try:
            return self._keep(entry, self._wait(entry.reference, _ADOPT_S))
        except BusyError as error:
            _logger.warning("worker %d does not answer and is left alone: %s", entry.pid, error)
            return False

    def _keep(self, entry: Entry, wait: Wait) -> bool:
        try:
            return self._supervisor.keep(entry, wait.check)
        except TimeoutError as error:
            raise ModelLoadingError(reference=entry.reference) from error

    def _on_ended(self, entry: Entry) -> None:
        """Clean up behind a worker; the supervisor's thread."""
        ready = self._ready.get(entry.key)
        if ready is not None and ready.entry.socket == entry.socket:
            self._ready.pop(entry.key, None)
        until_s = time.monotonic() + EXIT_S
        wait_for_end(entry.pid, entry.started, EXIT_S)
        # A process counts as ended when its first thread has; its files are closed with the last.
        left_s = max(0.0, until_s - time.monotonic())
        returncode = children.returncode(entry.pid, entry.started, left_s)
        how = "ended" if returncode is None else how_it_ended(returncode)
        _logger.info("worker %d of %s: %s", entry.pid, entry.reference, how)
        try:
            with self._ledger.locked():
                pass  # entering sweeps
            if returncode != 0:
                self._store.sweep()
        except StoreError as error:
            # A full disk, say. Whoever takes the lock next sweeps, and this thread has to live.
            _logger.warning("nobody cleaned up behind worker %d: %s", entry.pid, error)


def _raise_crash(entry: Entry) -> None:
    """Raise for a worker that crashed.

    One that left in good order is none, and one that could not load tells the next who asks.
    """
    if not entry.is_alive() or wait_for_end(entry.pid, entry.started, POLL_S):
        returncode = children.returncode(entry.pid, entry.started)
        if returncode not in (None, 0, EXIT_LOAD_FAILED):
            raise crash_of(entry)
