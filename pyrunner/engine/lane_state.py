"""What a lane held, as those see it who keep it: a `LaneState`, or what stands in for one."""

from typing import Protocol, TypeVar


class State(Protocol):
    """The cells of one sequence, in host memory."""

    @property
    def n_tokens(self) -> int:
        """How many tokens."""
        ...

    @property
    def n_lanes(self) -> int:
        """Of the session it is of; the bytes name it."""
        ...

    @property
    def fits_layouts(self) -> bool:
        """Whether a session with another number of lanes can restore it."""
        ...

    @property
    def n_bytes(self) -> int:
        """Size of `view`."""
        ...

    def view(self, is_writable: bool = ...) -> memoryview:  # noqa: FBT001 - as in Cython
        """The bytes, without a copy."""
        ...


S = TypeVar("S", bound=State)
