"""Result codes of csrc (csrc/status.h) and the one place that turns them into exceptions."""

from enum import IntEnum

from pyrunner.errors import (
    ContextRefusedError,
    DecodeError,
    InvalidParameterError,
    InvariantError,
    OutOfMemoryError,
    TemplateError,
    UnsupportedParameterError,
)


class Status(IntEnum):
    """The codes of csrc/status.h, by the same names."""

    OK = 0
    NO_ROOM = 1
    ABORTED = 2
    CANCELLED = 3
    BAD_ARGUMENT = -1
    OUT_OF_MEMORY = -2
    LOAD_FAILED = -3
    DECODE_FAILED = -4
    TEMPLATE_FAILED = -5
    UNSUPPORTED = -6
    TOO_LONG = -7
    INTERNAL = -8


_OF_NORMAL_LIFE = {
    int(each): each for each in (Status.OK, Status.NO_ROOM, Status.ABORTED, Status.CANCELLED)
}


def check(code: int, during: str, detail: str = "") -> Status:
    """Return a code that is part of normal life; raise for the others.

    Args:
        code: What csrc returned.
        during: The operation, for the sentence.
        detail: What csrc has to say about it, possibly llama.cpp's own words.

    Raises:
        OutOfMemoryError: An allocation failed.
        ContextRefusedError: llama.cpp did not make the context.
        DecodeError: A forward pass failed; the object is dead.
        TemplateError: The chat template refused.
        InvalidParameterError: More text than the model can take at once.
        UnsupportedParameterError: The model cannot do this.
        InvariantError: csrc refused its arguments, which our own code checks before.
    """
    # PERF(engine): asked after each step; making a Status of a number takes ten times as long.
    if (outcome := _OF_NORMAL_LIFE.get(code)) is not None:
        return outcome
    status = Status(code)
    words = f"{during}: {detail}" if detail else during
    match status:
        case Status.OUT_OF_MEMORY:
            raise OutOfMemoryError(during=words)
        case Status.LOAD_FAILED:
            raise ContextRefusedError(problem=detail or "it gave no reason")
        case Status.DECODE_FAILED | Status.INTERNAL:
            raise DecodeError(status=code, during=words)
        case Status.TEMPLATE_FAILED:
            raise TemplateError(problem=detail or "it failed without a message")
        case Status.TOO_LONG:
            raise InvalidParameterError(param=during, problem="is longer than the model can take")
        case Status.UNSUPPORTED:
            raise UnsupportedParameterError(param=during, hint="This model cannot do it.")
        case _:
            raise InvariantError(words)
