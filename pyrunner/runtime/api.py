"""The runtime as servers see it: ask for a model, get a runner."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pyrunner.config import Settings
from pyrunner.runtime.runner import (
    IsCancelled,
    LoadableModel,
    ModelLease,
    Runner,
    RunnerStatus,
    never_cancelled,
)
from pyrunner.types import ModelMode

__all__ = ["ModelSource", "Runtime"]


class ModelSource(Protocol):
    """The part of `models.store.Store` that loading needs."""

    def find(self, text: str) -> LoadableModel:
        """Raises ModelNotFoundError."""
        ...

    def lease(self, digests: Sequence[str]) -> ModelLease:
        """Keep these blobs from being collected."""
        ...


class Runtime:
    """Loads models on demand and keeps them within the memory budget. Any thread.

    Making one costs nothing: folders, the ``supervisor`` thread and workers come with the first
    use. Several of them, in one process or many, share the workers of one runtime folder.
    """

    def __init__(self, settings: Settings, store: ModelSource) -> None:
        self._settings = settings
        self._store = store

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
        to the runtime: a caller that gives up does not stop it. A model that is ready costs no
        system call beyond looking whether its worker lives.

        Args:
            model_text: Anything `Store.find` knows.
            mode: One model can be loaded once per mode.
            keep_alive_s: The worker's new idle time; None leaves it, or takes the setting.
            deadline_s: Seconds to wait at most; None takes `RuntimeConfig.load_timeout_s`.
            is_cancelled: Asked while waiting.

        Raises:
            ModelNotFoundError: Not in the store.
            MemoryBudgetError: Retryable. What is loaded is in use (or kept forever).
            ModelTooLargeError: It would not fit an empty machine.
            ModelLoadingError: Retryable. The deadline passed; loading goes on.
            ModelLoadError: llama.cpp refused the file. Also OutOfMemoryError, ModelFileError.
            WorkerCrashedError: Retryable. The worker ended while loading.
            ShuttingDownError: `close` was called.
            RequestCancelledError: `is_cancelled` said so.
        """
        raise NotImplementedError

    def running(self) -> list[RunnerStatus]:
        """Every worker of the runtime folder, whoever started it, oldest first.

        Costs one round trip per worker; one that does not answer in a second is listed by what
        the ledger knows.
        """
        raise NotImplementedError

    def unload(self, models: Sequence[str] | None = None, *, only_idle: bool = True) -> int:
        """Make workers leave, and wait until their memory is back (`drain_s` at most).

        Args:
            models: As for `ensure_ready`; also of models that were removed. None means all.
            only_idle: Leave workers with requests in flight alone; otherwise these get `drain_s`
                to finish and are then ended.

        Returns:
            How many workers left or are leaving.
        """
        raise NotImplementedError

    def adopt(self) -> int:
        """Take over workers that a server before this one left; called once at a server's start.

        Those with another version or configuration are told to drain.

        Returns:
            How many were taken over.
        """
        raise NotImplementedError

    def log_path(self, model_text: str, mode: ModelMode = ModelMode.COMPLETION) -> Path:
        """Where the workers of a model write; the file may not exist (yet).

        Raises:
            ModelNotFoundError: Not in the store.
        """
        raise NotImplementedError

    def log_paths(self) -> list[Path]:
        """Log files of all workers, oldest change first."""
        raise NotImplementedError

    def close(self, deadline_s: float | None = None) -> None:
        """Take no more requests, let streams finish, let go of the workers. Idempotent.

        Workers that no other server uses leave within `orphan_grace_s`.

        Args:
            deadline_s: Seconds that open streams get; None takes `RuntimeConfig.drain_s`. What is
                still open then ends with `ShuttingDownError`.
        """
        raise NotImplementedError
