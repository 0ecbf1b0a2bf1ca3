"""This disk."""

from pyrunner.errors.root import PyrunnerError
from pyrunner.errors.wording import ended, mib


class StoreError(PyrunnerError, OSError):
    """This disk."""


class StoreLockedError(StoreError):
    """Another process holds the store's lock for longer than the caller would wait."""

    code = "store_locked"
    retryable = True

    def __init__(self, *, path: str, timeout_s: float) -> None:
        super().__init__(
            f"{path} is locked by another process (waited {timeout_s:g} s). Try again.",
            path=path,
            timeout_s=timeout_s,
        )
        self.path = path


class StoreCorruptError(StoreError):
    """The store's files contradict each other."""

    code = "store_corrupt"

    def __init__(
        self, *, path: str, problem: str, remedy: str = "Remove the model and pull it again."
    ) -> None:
        super().__init__(
            f"{path} is damaged: {ended(problem)} {remedy}",
            path=path,
            problem=problem,
            remedy=remedy,
        )
        self.path = path
        self.problem = problem


class StoreFormatError(StoreError):
    """The folder is not a store, or none that this version can use."""

    code = "store_format"

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(f"{path} {ended(problem)}", path=path, problem=problem)
        self.path = path
        self.problem = problem


class StoreFullError(StoreError):
    """What shall come in does not fit on the disk."""

    code = "store_full"

    def __init__(
        self, *, path: str, needed_bytes: int, kept_bytes: int, free_bytes: int, partial_bytes: int
    ) -> None:
        half = (
            f", or the {mib(partial_bytes)} of unfinished transfers with: "
            "pyrunner store gc --partial"
        )
        super().__init__(
            f"{path} has no room: {mib(needed_bytes)} are needed, {mib(kept_bytes)} have to stay "
            f"free, and {mib(free_bytes)} are. Remove models with: pyrunner rm"
            f"{half if partial_bytes else ''}",
            path=path,
            needed_bytes=needed_bytes,
            kept_bytes=kept_bytes,
            free_bytes=free_bytes,
            partial_bytes=partial_bytes,
        )
        self.path = path
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class StoreReadOnlyError(StoreError):
    """The store may be read and not written: a read-only mount, or another user's folder."""

    code = "store_read_only"

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(
            f"{path}: the model store cannot be written ({problem}). Its models can be listed and "
            "run; to change it, get write permission, or set PYRUNNER_HOME to another folder.",
            path=path,
            problem=problem,
        )
        self.path = path
        self.problem = problem


class StoreIOError(StoreError):
    """The operating system refused: disk full, no permission, no such folder."""

    code = "store_io"

    def __init__(self, *, path: str, problem: str) -> None:
        way_out = "Check the free space and the permissions there."
        super().__init__(f"{path}: {ended(problem)} {way_out}", path=path, problem=problem)
        self.path = path
        self.problem = problem
