"""This machine or this model."""

from pyrunner.errors.root import PyrunnerError
from pyrunner.errors.wording import ended, mib


class NativeError(PyrunnerError, RuntimeError):
    """This machine or this model."""


class ModelLoadError(NativeError):
    """llama.cpp refused the file."""

    code = "model_load_failed"

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(
            f"The model {path} could not be loaded: {ended(problem)} "
            "Pull it again, or use another version of it.",
            path=path,
            problem=problem,
        )
        self.path = path
        self.problem = problem


class ContextRefusedError(NativeError):
    """llama.cpp took the file, but not the context that the settings ask for."""

    code = "context_refused"

    def __init__(self, *, problem: str) -> None:
        super().__init__(
            f"llama.cpp refuses to make the model's context: {ended(problem)} "
            "Its sizes and types are the settings engine.*; 'pyrunner logs' has all it said.",
            problem=problem,
        )
        self.problem = problem


class ModelTooLargeError(NativeError):
    """The model does not fit even an empty machine."""

    code = "model_too_large"

    def __init__(self, *, needed_bytes: int, budget_bytes: int) -> None:
        super().__init__(
            f"The model needs {mib(needed_bytes)} of memory and the budget is "
            f"{mib(budget_bytes)}. "
            "Use a smaller quantisation or context size, or raise the memory budget.",
            needed_bytes=needed_bytes,
            budget_bytes=budget_bytes,
        )
        self.needed_bytes = needed_bytes
        self.budget_bytes = budget_bytes


class OutOfMemoryError(NativeError, MemoryError):
    """An allocation in native code failed."""

    code = "out_of_memory"

    def __init__(self, *, during: str) -> None:
        super().__init__(
            f"Memory ran out during {during}. Use a smaller context size or model.", during=during
        )
        self.during = during


class DecodeError(NativeError):
    """llama.cpp failed in the middle of a forward pass; the session is not usable any more."""

    code = "decode_failed"

    def __init__(self, *, status: int, during: str) -> None:
        super().__init__(
            f"The engine failed during {during} (status {status}). "
            "Try again; 'pyrunner logs' has its last lines.",
            status=status,
            during=during,
        )
        self.status = status
        self.during = during


class WorkerCrashedError(NativeError):
    """A worker process ended while it owed an answer."""

    code = "worker_crashed"
    retryable = True

    def __init__(self, *, reference: str, how: str) -> None:
        super().__init__(
            f"The worker of model {reference!r} ended unexpectedly ({how}). "
            "The next request loads it again; 'pyrunner logs' has its last lines.",
            reference=reference,
            how=how,
        )
        self.reference = reference
        self.how = how


class WorkerProtocolError(NativeError):
    """One side of a worker connection sent bytes that are no frame; the connection is closed."""

    code = "worker_protocol"

    def __init__(self, *, problem: str) -> None:
        super().__init__(
            f"The worker connection carried no valid frame: {ended(problem)} "
            "Try again; if it repeats, unload the model first.",
            problem=problem,
        )
        self.problem = problem
