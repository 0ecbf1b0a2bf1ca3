"""Every code of csrc/status.h has its row, and becomes what it should."""

import re

import pytest
from support.tree import ROOT

from pyrunner._native.status import Status, check
from pyrunner.errors import (
    ContextRefusedError,
    DecodeError,
    InvalidParameterError,
    InvariantError,
    OutOfMemoryError,
    TemplateError,
    UnsupportedParameterError,
)

HEADER = (ROOT / "csrc" / "status.h").read_text()


def test_python_has_the_codes_of_the_header() -> None:
    in_header = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper(): int(value)
        for name, value in re.findall(r"k(\w+) = (-?\d+),", HEADER)
    }
    assert in_header == {status.name: status.value for status in Status}


@pytest.mark.parametrize(
    "status", [Status.OK, Status.NO_ROOM, Status.ABORTED, Status.CANCELLED], ids=lambda s: s.name
)
def test_codes_of_normal_life_are_values(status: Status) -> None:
    assert check(int(status), "a test") is status


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (Status.BAD_ARGUMENT, InvariantError),
        (Status.OUT_OF_MEMORY, OutOfMemoryError),
        (Status.LOAD_FAILED, ContextRefusedError),
        (Status.DECODE_FAILED, DecodeError),
        (Status.TEMPLATE_FAILED, TemplateError),
        (Status.UNSUPPORTED, UnsupportedParameterError),
        (Status.TOO_LONG, InvalidParameterError),
        (Status.INTERNAL, DecodeError),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_other_codes_are_errors(status: Status, error: type[Exception]) -> None:
    with pytest.raises(error):
        check(int(status), "a test", "because")


def test_an_unknown_code_is_a_bug() -> None:
    with pytest.raises(ValueError, match="99"):
        check(99, "a test")
