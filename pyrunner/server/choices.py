"""What a field of a request's struct may be, where that is one of a few texts."""

import re
from collections.abc import Iterator

import msgspec
from msgspec.inspect import (
    DictType,
    EnumType,
    ListType,
    LiteralType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

_STEP = re.compile(r"\.?([^.\[\]]+)|\[[^\]]*\]")


def choices(cls: type[msgspec.Struct], path: str) -> tuple[str, ...]:
    """The texts that are allowed at a place of a struct.

    Args:
        cls: The struct.
        path: As msgspec says it, without the ``$``, such as ``messages[0].role``.

    Returns:
        In alphabetical order; empty where there is no such place, or it is none of a few texts.
    """
    found = [type_info(cls)]
    for step in _STEP.finditer(path):
        found = [below for each in found for below in _below(each, step[1])]
    return tuple(sorted({text for each in found for text in _texts(each)}))


def _below(kind: Type, name: str | None) -> Iterator[Type]:
    """What is in it under a name, or as its items where there is no name."""
    match kind:
        case UnionType(types):
            for each in types:
                yield from _below(each, name)
        case StructType() if name is not None:
            if name == kind.tag_field:
                yield LiteralType((kind.tag,))
            yield from (each.type for each in kind.fields if each.encode_name == name)
        case ListType(item_type=item) | VarTupleType(item_type=item) if name is None:
            yield item
        case DictType(value_type=value) if name is None:
            yield value


def _texts(kind: Type) -> Iterator[str]:
    match kind:
        case UnionType(types):
            for each in types:
                yield from _texts(each)
        case LiteralType(values):
            yield from (each for each in values if isinstance(each, str))
        case EnumType(cls):
            yield from (each.value for each in cls if isinstance(each.value, str))
        case _:
            pass
