"""Whether a JSON schema asks only for what can be guaranteed, and where it does not.

The compiler ignores keywords it has never heard of and does not say where it found a wrong one.
Here every keyword is known, and every refusal has a path. Pure.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

MAX_SCHEMA_BYTES = 64 * 1024
"""Of the JSON text. Compiling takes time in the square of its properties: a second at most."""
MAX_SCHEMA_DEPTH = 128
"""Brackets inside each other, values of `const` and `enum` included."""
MAX_LOCATED = 200
"""Subschemas that are tried one by one to find which of them the compiler refuses."""

_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SINGLE = frozenset({"items", "additionalProperties"})
_VALUES = frozenset(
    {
        "type",
        "const",
        "enum",
        "format",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "required",
        "minProperties",
        "maxProperties",
        "minItems",
        "maxItems",
    }
)
_ANNOTATIONS = frozenset(
    {
        "$schema",
        "$id",
        "$anchor",
        "$comment",
        "title",
        "description",
        "default",
        "examples",
        "example",
        "deprecated",
        "readOnly",
        "writeOnly",
        "discriminator",
    }
)
TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
FORMATS = (
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
    "uri",
)
KEYWORDS = _BY_NAME | _LISTS | _SINGLE | _VALUES | {"$ref"}
"""All that are followed; `docs/api.md` lists them."""

_LONGEST_NAME = 64


class Problem(NamedTuple):
    """Why a schema cannot be followed."""

    path: str
    """Where, as a JSON pointer behind ``#``."""
    what: str


class _Place(NamedTuple):
    path: str
    schema: object


def parse_schema(text: str) -> dict[str, object] | Problem:
    """Parse and check; the schema, or the first thing in it that is not supported."""
    if len(text.encode()) > MAX_SCHEMA_BYTES:
        return Problem("#", f"it is longer than {MAX_SCHEMA_BYTES} bytes")
    try:
        document: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return Problem("#", f"it is not valid JSON: {error}")
    if not _nests_within(document, MAX_SCHEMA_DEPTH):
        return Problem("#", f"it nests deeper than {MAX_SCHEMA_DEPTH} levels")
    if not isinstance(document, dict):
        return Problem("#", "it has to be an object")
    for place in _subschemas(_Place("#", document)):
        problem = _problem(place)
        if problem is not None:
            return problem
    return document


def locate(document: dict[str, object], what_fails: Callable[[dict[str, object]], str]) -> str:
    """Find the part of a schema that the compiler refuses.

    Args:
        document: Refused as a whole.
        what_fails: Compiles a schema; why it is refused, or an empty string.

    Returns:
        The path of the smallest part that is refused alone, for the same reason.
    """
    reason = what_fails(document)
    shared = {key: document[key] for key in ("$defs", "definitions") if key in document}
    places = [each for each in _subschemas(_Place("#", document)) if isinstance(each.schema, dict)]
    for place in reversed(places[:MAX_LOCATED]):  # children come after their parents
        assert isinstance(place.schema, dict)  # noqa: S101 - for the type checker
        if what_fails(place.schema | shared) == reason:
            return place.path
    return "#"


def _problem(place: _Place) -> Problem | None:
    path, schema = place
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, dict):
        return Problem(path, "a schema has to be an object, true or false")
    for keyword, value in schema.items():
        if keyword not in KEYWORDS and keyword not in _ANNOTATIONS:
            return Problem(_child(path, keyword), "this keyword is not supported")
        what = _value_problem(keyword, value)
        if what:
            return Problem(_child(path, keyword), what)
    return None


def _value_problem(keyword: str, value: object) -> str:
    if keyword in _BY_NAME:
        return "" if isinstance(value, dict) else "it has to be an object of schemas"
    if keyword in _LISTS:
        return "" if isinstance(value, list) else "it has to be an array of schemas"
    if keyword == "type":
        types = value if isinstance(value, list) else [value]
        return "" if all(each in TYPES for each in types) else f"types are {', '.join(TYPES)}"
    if keyword == "format":
        return "" if value in FORMATS else f"the formats that can be kept are {', '.join(FORMATS)}"
    if keyword == "$ref":
        is_local = isinstance(value, str) and value.startswith("#")
        return "" if is_local else "only references into the same schema can be followed"
    return ""


def _subschemas(root: _Place) -> Iterator[_Place]:
    """The schema itself and all inside it, parents first."""
    waiting = [root]
    while waiting:
        place = waiting.pop()
        yield place
        if isinstance(place.schema, dict):
            waiting.extend(reversed(list(_children(place))))


def _children(place: _Place) -> Iterator[_Place]:
    assert isinstance(place.schema, dict)  # noqa: S101 - for the type checker
    for keyword, value in place.schema.items():
        path = _child(place.path, keyword)
        if keyword in _SINGLE:
            yield _Place(path, value)
        elif keyword in _BY_NAME and isinstance(value, dict):
            yield from (_Place(_child(path, name), each) for name, each in value.items())
        elif keyword in _LISTS and isinstance(value, list):
            yield from (_Place(f"{path}/{i}", each) for i, each in enumerate(value))


def _child(path: str, name: str) -> str:
    return f"{path}/{name[:_LONGEST_NAME].replace('~', '~0').replace('/', '~1')}"


def _nests_within(document: object, limit: int) -> bool:
    level: list[object] = [document]
    for _ in range(limit + 1):
        level = [each for value in level for each in _parts(value)]
        if not level:
            return True
    return False


def _parts(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
