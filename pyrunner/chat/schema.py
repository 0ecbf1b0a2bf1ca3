"""Whether a JSON schema asks only for what can be guaranteed, and where it does not.

The compiler ignores keywords it has never heard of and does not say where it found a wrong one.
Here every keyword is known, and every refusal has a path. Pure.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

MAX_SCHEMA_BYTES = 64 * 1024
"""Of the JSON text. Compiling takes time in the square of its properties: a second at most."""
MAX_SCHEMA_DEPTH = 128
"""Brackets inside each other, values of `const` and `enum` included."""
MAX_PATTERN = 4096
"""Characters of one. Compiling ``a?a?a?...`` takes time in the square of them."""
MAX_REFERENCED = 1000
"""Subschemas with parts and targets of references, in a schema that has some: so many may be inside
each other. Of twice as many the compiler dies, with the worker."""
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
    path: tuple[str, ...]
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
    return _first_problem(document) or document


def locate(
    document: dict[str, object],
    reason: str,
    *,
    what_fails: Callable[[dict[str, object]], str],
    is_late: Callable[[], bool],
) -> str:
    """Find the part of a schema that the compiler refuses.

    Args:
        document: Refused as a whole.
        reason: Why.
        what_fails: Compiles a schema; why it is refused, or an empty string.
        is_late: Whether to give up; asked before each call of `what_fails`.

    Returns:
        The path of the smallest part that is refused alone, for the same reason.
    """
    shared = {key: document[key] for key in ("$defs", "definitions") if key in document}
    places = [each for each in _subschemas(document) if isinstance(each.schema, dict)]
    for place in reversed(places[:MAX_LOCATED]):  # children come after their parents
        assert isinstance(place.schema, dict)  # noqa: S101 - for the type checker
        if is_late():
            break
        if what_fails(place.schema | shared) == reason:
            return _pointer(place.path)
    return "#"


def _first_problem(document: dict[str, object]) -> Problem | None:
    places = list(_subschemas(document))
    targets = frozenset(place.path for place in places)
    found = next(filter(None, (_problem(place, targets) for place in places)), None)
    if found is None and _n_inside_each_other(places) > MAX_REFERENCED:
        return Problem("#", f"more than {MAX_REFERENCED} of its parts may be inside each other")
    return found


def _problem(place: _Place, targets: frozenset[tuple[str, ...]]) -> Problem | None:
    path, schema = place
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, dict):
        return Problem(_pointer(path), "a schema has to be an object, true or false")
    for keyword, value in schema.items():
        if keyword not in KEYWORDS and keyword not in _ANNOTATIONS:
            return Problem(_pointer((*path, keyword)), "this keyword is not supported")
        what = _value_problem(keyword, value)
        if keyword == "$ref":
            what = _reference_problem(value, targets)
        if what:
            return Problem(_pointer((*path, keyword)), what)
    return None


def _reference_problem(value: object, targets: frozenset[tuple[str, ...]]) -> str:
    """Elsewhere than at a schema, in a default say, nobody checked the keywords."""
    if not isinstance(value, str) or not value.startswith("#"):
        return "only references into the same schema can be followed"
    first, *names = unquote(value[1:]).split("/")
    path = tuple(name.replace("~1", "/").replace("~0", "~") for name in names)
    return "" if not first and path in targets else "it does not point to a schema in the same one"


def _n_inside_each_other(places: list[_Place]) -> int:
    """At most so many levels; none but those of the JSON text without references."""
    schemas = [place.schema for place in places if isinstance(place.schema, dict)]
    references = {schema["$ref"] for schema in schemas if "$ref" in schema}
    if not references:
        return 0
    parts = _SINGLE | _BY_NAME | _LISTS
    return len(references) + sum(not parts.isdisjoint(schema) for schema in schemas)


def _value_problem(keyword: str, value: object) -> str:
    if keyword in _BY_NAME and not isinstance(value, dict):
        return "it has to be an object of schemas"
    if keyword in _LISTS and not isinstance(value, list):
        return "it has to be an array of schemas"
    if keyword in ("pattern", "patternProperties"):
        patterns = value if isinstance(value, dict) else [value]
        is_long = any(isinstance(each, str) and len(each) > MAX_PATTERN for each in patterns)
        return f"a pattern may have {MAX_PATTERN} characters" if is_long else ""
    if keyword == "type":
        types = value if isinstance(value, list) else [value]
        return "" if all(each in TYPES for each in types) else f"types are {', '.join(TYPES)}"
    if keyword == "format":
        return "" if value in FORMATS else f"the formats that can be kept are {', '.join(FORMATS)}"
    return ""


def _subschemas(document: dict[str, object]) -> Iterator[_Place]:
    """The schema itself and all inside it, parents first."""
    waiting = [_Place((), document)]
    while waiting:
        place = waiting.pop()
        yield place
        if isinstance(place.schema, dict):
            waiting.extend(reversed(list(_children(place))))


def _children(place: _Place) -> Iterator[_Place]:
    assert isinstance(place.schema, dict)  # noqa: S101 - for the type checker
    for keyword, value in place.schema.items():
        path = (*place.path, keyword)
        if keyword in _SINGLE:
            yield _Place(path, value)
        elif keyword in _BY_NAME and isinstance(value, dict):
            yield from (_Place((*path, name), each) for name, each in value.items())
        elif keyword in _LISTS and isinstance(value, list):
            yield from (_Place((*path, str(i)), each) for i, each in enumerate(value))


def _pointer(path: tuple[str, ...]) -> str:
    names = (name[:_LONGEST_NAME].replace("~", "~0").replace("/", "~1") for name in path)
    return "".join(["#", *(f"/{name}" for name in names)])


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
