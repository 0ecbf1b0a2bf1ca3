"""What the server needs of the runtime, and nothing more.

`pyrunner.runtime.api.Runtime` is the real thing; the server's tests script this protocol instead.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pyrunner.runtime.runner import IsCancelled, Runner, RunnerStatus
from pyrunner.types import ModelMode


class Models(Protocol):
    """Which models are loaded; `pyrunner.runtime.api.Runtime` says what each method promises."""

    def ensure_ready(
        self,
        model_text: str,
        *,
        mode: ModelMode = ...,
        keep_alive_s: float | None = None,
        deadline_s: float | None = None,
        is_cancelled: IsCancelled = ...,
    ) -> Runner:
        """A runner that takes requests now, loading the model if need be."""
        ...

    def running(self) -> list[RunnerStatus]:
        """Every loaded or loading model."""
        ...

    def unload(self, models: Sequence[str] | None = None, *, only_idle: bool = True) -> int:
        """Unload these, None for all, and say how many went."""
        ...

    def log_paths(self) -> list[Path]:
        """The workers' log files."""
        ...

    def adopt(self) -> int:
        """Take over what an earlier server left running."""
        ...

    def keep_spare(self) -> None:
        """Have a process ready for the next model."""
        ...

    def close(self, deadline_s: float | None = None) -> None:
        """Drain and let go."""
        ...
