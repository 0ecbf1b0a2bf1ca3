"""Not now: waiting helps."""

from pyrunner.errors.root import Fact, PyrunnerError
from pyrunner.errors.wording import mib


class BusyError(PyrunnerError):
    """Nothing is wrong, but not now; `retry_after_s` says when to ask again."""

    retryable = True

    def __init__(self, sentence: str, *, retry_after_s: int, **facts: Fact) -> None:
        super().__init__(sentence, retry_after_s=retry_after_s, **facts)
        self.retry_after_s = retry_after_s


class MemoryBudgetError(BusyError):
    """Every loaded model is in use and the next one does not fit beside them."""

    code = "memory_budget_exceeded"

    def __init__(
        self, *, needed_bytes: int, free_bytes: int, budget_bytes: int, retry_after_s: int = 5
    ) -> None:
        super().__init__(
            f"The model needs {mib(needed_bytes)}, {mib(free_bytes)} of {mib(budget_bytes)} "
            "are free, "
            "and every loaded model is in use. Try again, or unload one.",
            retry_after_s=retry_after_s,
            needed_bytes=needed_bytes,
            free_bytes=free_bytes,
            budget_bytes=budget_bytes,
        )
        self.needed_bytes = needed_bytes


class ModelLoadingError(BusyError):
    """The model is still loading and the caller's patience ran out."""

    code = "model_loading"

    def __init__(self, *, reference: str, retry_after_s: int = 5) -> None:
        super().__init__(
            f"Model {reference!r} is still loading. Try again in {retry_after_s} s.",
            retry_after_s=retry_after_s,
            reference=reference,
        )
        self.reference = reference


class QueueFullError(BusyError):
    """More requests or streams than the named limit allows."""

    code = "queue_full"

    def __init__(self, *, limit: int, what: str, retry_after_s: int = 1) -> None:
        super().__init__(
            f"All {limit} {what} are taken. Try again in {retry_after_s} s.",
            retry_after_s=retry_after_s,
            limit=limit,
            what=what,
        )
        self.limit = limit


class ShuttingDownError(BusyError):
    """The server or the worker is draining."""

    code = "shutting_down"

    def __init__(self, *, what: str = "server", retry_after_s: int = 5) -> None:
        super().__init__(
            f"The {what} is shutting down. Try again in {retry_after_s} s, when it may be back.",
            retry_after_s=retry_after_s,
            what=what,
        )
        self.what = what
