"""What a place of a request may be."""

import enum
from typing import Literal

import msgspec
import pytest

from pyrunner.server.choices import choices


class _Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class _Cat(msgspec.Struct, tag="cat", tag_field="kind"):
    colour: _Colour


class _Dog(msgspec.Struct, tag="dog", tag_field="kind"):
    size: Literal["small", "large"] | None = None


class _Home(msgspec.Struct):
    pets: list[_Cat | _Dog]
    by_name: dict[str, _Dog]
    pair: tuple[_Cat, ...] = ()
    open: bool = msgspec.field(name="is-open", default=False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("pets[0].kind", ("cat", "dog")),
        ("pets[12].colour", ("blue", "red")),
        ("by_name[...].size", ("large", "small")),
        ("pair[1].colour", ("blue", "red")),
        ("is-open", ()),
        ("pets", ()),
        ("nothing.there[0]", ()),
        ("", ()),
    ],
)
def test_choices_of_a_place(path, expected):
    assert choices(_Home, path) == expected
