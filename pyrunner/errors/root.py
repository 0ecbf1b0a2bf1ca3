"""The root of the tree, and what is deliberately outside it."""

from typing import Any, ClassVar

Fact = str | int | float | bool | None


class PyrunnerError(Exception):
    """Root of the tree: a sentence for the person, facts for the program.

    Attributes:
        code: Stable snake_case identifier, part of the wire contract.
        retryable: Whether the same call can succeed later without a change.
        facts: The constructor's keyword arguments, enough to build the error again.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, sentence: str, **facts: Fact) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.facts = facts

    def __reduce__(self) -> tuple[Any, ...]:
        return (rebuild, (type(self), self.facts))


def rebuild(cls: type[PyrunnerError], facts: dict[str, Fact]) -> PyrunnerError:
    """Build an error again from its facts. Raises TypeError when they do not fit."""
    return cls(**facts)  # type: ignore[arg-type]  # leaves take their facts by keyword


class InvariantError(AssertionError):
    """A bug of ours. Deliberately outside PyrunnerError."""
