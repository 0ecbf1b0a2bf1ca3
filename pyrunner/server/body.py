"""Request bodies: read at most the limit, and turned into typed structs or a clear 400."""

import difflib
import re
from collections.abc import Iterable
from typing import TypeVar

import falcon
import msgspec

from pyrunner.errors import InvalidParameterError
from pyrunner.server.choices import choices

StructT = TypeVar("StructT", bound=msgspec.Struct)

_AT = re.compile(r"(?P<what>.*) - at (?P<key>`key` in )?`\$(?P<path>.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_CHOSEN = re.compile(r"Invalid (?:enum )?value '(?P<value>.*)'", re.DOTALL)
_LONGEST_SENTENCE = 300
_LONGEST_NAME = 64


def read_json(req: falcon.Request, limit_bytes: int) -> dict[str, object]:
    """Read a JSON object.

    A key whose value is null counts as absent.

    Raises:
        InvalidParameterError: Larger than `limit_bytes`, not JSON, or not an object; `param` is
            ``body``.
    """
    document = decode_json(read_bytes(req, limit_bytes))
    if not isinstance(document, dict):
        raise InvalidParameterError(param="body", problem="has to be a JSON object")
    return {key: value for key, value in document.items() if value is not None}


def read_bytes(req: falcon.Request, limit_bytes: int) -> bytes:
    """Read the whole body.

    Raises:
        InvalidParameterError: Longer than `limit_bytes`; nothing is read when its header says so.
    """
    too_large = InvalidParameterError(
        param="body", problem=f"is too large: the limit is {limit_bytes} bytes"
    )
    if (req.content_length or 0) > limit_bytes:
        raise too_large
    data: bytes = req.bounded_stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise too_large
    return data


def decode_json(data: bytes) -> object:
    """Parse one JSON document of any kind.

    Raises:
        InvalidParameterError: It is none, nests too deeply, or holds numbers beyond 64 bits.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problem = f"is not valid JSON: {error}"
    except RecursionError:
        problem = "nests too deeply"
    raise InvalidParameterError(param="body", problem=problem[:_LONGEST_SENTENCE])


def convert(
    document: dict[str, object], cls: type[StructT], *, also_known: Iterable[str] = ()
) -> StructT:
    """Make a struct of a decoded object.

    Args:
        document: The object, without null values.
        cls: A struct that forbids unknown fields and states its ranges.
        also_known: Names worth suggesting besides the struct's own.

    Raises:
        InvalidParameterError: A key is unknown, missing, of the wrong type or out of its range;
            `param` is its path, such as ``messages[0].role``.
    """
    try:
        return msgspec.convert(document, cls, str_keys=True)
    except msgspec.ValidationError as error:
        raise _translate(str(error), cls, also_known) from error


def near_miss(name: str, known: Iterable[str]) -> str:
    """A half sentence that suggests what was probably meant, or nothing."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _translate(
    message: str, cls: type[msgspec.Struct], also_known: Iterable[str]
) -> InvalidParameterError:
    located = _AT.fullmatch(message)
    what, path = (located["what"], located["path"].lstrip(".")) if located else (message, "")
    unknown = _UNKNOWN.fullmatch(what)
    if unknown:
        name = unknown["name"][:_LONGEST_NAME]
        known = [*cls.__struct_encode_fields__, *also_known]
        suggestion = "" if path else near_miss(name, known)
        return InvalidParameterError(
            param=_join(path, name), problem=f"is not a known parameter{suggestion}"
        )
    missing = _MISSING.fullmatch(what)
    if missing:
        return InvalidParameterError(param=_join(path, missing["name"]), problem="is required")
    chosen = _CHOSEN.fullmatch(what)
    if chosen and (allowed := choices(cls, path)):
        value = chosen["value"][:_LONGEST_NAME]
        return InvalidParameterError(
            param=path, problem=f"is '{value}'; it may be {', '.join(allowed)}"
        )
    sentence = what[:1].lower() + what[1:_LONGEST_SENTENCE]
    verdict = "has a key that is not valid" if located and located["key"] else "is not valid"
    return InvalidParameterError(param=path or "body", problem=f"{verdict}: {sentence}")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
