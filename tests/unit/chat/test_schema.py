"""Which schemas are followed, and where the others are refused."""

import json
from collections.abc import Callable

import pytest

from pyrunner.chat.schema import (
    FORMATS,
    MAX_LOCATED,
    MAX_PATTERN,
    MAX_REFERENCED,
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH,
    Problem,
    locate,
    parse_schema,
)

UNCHECKED = {
    "default": {"not": {}},
    "examples": [{"not": {}}],
    "enum": [{"not": {}}],
    "const": {"items": {"not": {}}},
    "anyOf": [{"$anchor": "here"}],
}
"""Where the keywords of a schema stand that is none."""


def _refused(schema: object) -> Problem:
    found = parse_schema(schema if isinstance(schema, str) else json.dumps(schema))
    assert isinstance(found, Problem)
    return found


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": ["string", "null"], "title": "T", "description": "d", "default": {"not": 1}},
        {"$schema": "x", "$defs": {"a": {"type": "null"}}, "$ref": "#/$defs/a"},
        {"properties": {"not": True, "a": False}, "additionalProperties": {"const": 1}},
        {"enum": [{"if": 1}, "contains"]},
        {"items": {"$ref": "#"}},
        {
            "$ref": "#/$defs/a~1b%20~0/anyOf/1/items",
            "$defs": {"a/b ~": {"anyOf": [{}, {"items": True}]}},
        },
        {"prefixItems": [{"type": "string"}], "items": False, "minItems": 1},
        {"oneOf": [{"const": 1}, {"const": 2}], "discriminator": {"propertyName": "kind"}},
        *({"type": "string", "format": name} for name in FORMATS),
    ],
)
def test_schema_that_can_be_followed_comes_back_as_it_is(schema):
    assert parse_schema(json.dumps(schema)) == schema


def test_order_of_the_properties_is_kept():
    text = '{"properties":{"z":{},"a":{},"m":{}}}'
    parsed = parse_schema(text)
    assert isinstance(parsed, dict)
    assert json.dumps(parsed, separators=(",", ":")) == text


@pytest.mark.parametrize(
    ("schema", "path", "says"),
    [
        ({"not": {}}, "#/not", "not supported"),
        ({"properties": {"a": {"uniqueItems": True}}}, "#/properties/a/uniqueItems", "supported"),
        ({"properties": {"a/b~c": {"if": {}}}}, "#/properties/a~1b~0c/if", "not supported"),
        ({"anyOf": [{}, {"items": {"contains": {}}}]}, "#/anyOf/1/items/contains", "supported"),
        ({"$defs": {"x": {"propertyNames": {}}}}, "#/$defs/x/propertyNames", "not supported"),
        ({"additionalProperties": {"maxlength": 1}}, "#/additionalProperties/maxlength", "support"),
        ({"prefixItems": [{"nullable": True}]}, "#/prefixItems/0/nullable", "not supported"),
        ({"x-guidance": {"lenient": True}}, "#/x-guidance", "not supported"),
        ({"type": "strin"}, "#/type", "string, number"),
        ({"type": ["string", 3]}, "#/type", "string, number"),
        ({"format": "regex"}, "#/format", "date-time"),
        ({"items": [{}]}, "#/items", "object, true or false"),
        ({"properties": [{}]}, "#/properties", "object of schemas"),
        ({"allOf": {}}, "#/allOf", "array of schemas"),
        ({"properties": {"a": 3}}, "#/properties/a", "object, true or false"),
        ({"$ref": "https://example.org/x"}, "#/$ref", "same schema"),
        ({"$ref": 3}, "#/$ref", "same schema"),
        *(
            ({"properties": {"a": {"$ref": reference}}} | UNCHECKED, "#/properties/a/$ref", "point")
            for reference in (
                "#/$defs/b",
                "#/default",
                "#/%64efault",
                "#/examples/0",
                "#/enum/0",
                "#/const/items",
                "#/properties",
                "#/anyOf",
                "#/anyOf/00",
                "#/",
                "#here",
                "#anyOf/0",
            )
        ),
        ("true", "#", "object"),
        ("[]", "#", "object"),
        ('{"a"', "#", "JSON"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_path(schema, path, says):
    problem = _refused(schema)
    assert problem.path == path
    assert says in problem.what


def test_first_of_several_is_named():
    assert (
        _refused({"properties": {"a": {"not": {}}, "b": {"if": {}}}}).path == "#/properties/a/not"
    )


def test_long_names_are_cut_in_a_path():
    assert len(_refused({"n" * 5000: 1}).path) < 100


def test_longest_schema_and_one_that_is_longer():
    text = json.dumps({"description": "x" * (MAX_SCHEMA_BYTES - 20)})
    text = text.replace("x", "x" * (MAX_SCHEMA_BYTES - len(text) + 1), 1)
    assert isinstance(parse_schema(text), dict)
    assert "bytes" in _refused(text.replace("x", "xx", 1)).what


@pytest.mark.parametrize(
    "deepen", [lambda inner: {"items": inner}, lambda inner: {"enum": [inner]}]
)
def test_depth_has_a_limit(deepen):
    schema: object = {}
    for _ in range(MAX_SCHEMA_DEPTH // 2 - 1):
        schema = deepen(schema)
    assert isinstance(parse_schema(json.dumps(schema)), dict)
    for _ in range(MAX_SCHEMA_DEPTH):
        schema = deepen(schema)
    assert "deeper" in _refused(schema).what
    assert _refused("[" * 60_000).path == "#"


def _locate(schema: dict[str, object], reason: str, why: Callable[[dict[str, object]], str]) -> str:
    return locate(schema, reason, what_fails=why, is_late=lambda: False)


@pytest.mark.parametrize("has_parts", [True, False])
def test_parts_that_may_be_inside_each_other_have_a_limit(has_parts):
    def chain(n: int) -> dict[str, object]:
        def link(i: int) -> object:
            reference = {"$ref": f"#/$defs/d{i}"}
            return {"items": reference} if has_parts else reference

        return {"$defs": {f"d{i}": link(i + 1) for i in range(n)} | {f"d{n}": {}}}

    n = MAX_REFERENCED // 2 if has_parts else MAX_REFERENCED
    assert isinstance(parse_schema(json.dumps(chain(n - 1))), dict)  # the root has parts, too
    assert "inside each other" in _refused(chain(n)).what
    wide: dict[str, object] = {f"p{i}": {"items": {}} for i in range(2 * MAX_REFERENCED)}
    assert isinstance(parse_schema(json.dumps({"properties": wide})), dict)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        (lambda pattern: {"items": {"pattern": pattern}}, "#/items/pattern"),
        (lambda pattern: {"patternProperties": {pattern: {}}}, "#/patternProperties"),
    ],
)
def test_patterns_have_a_limit(written, path):
    assert isinstance(parse_schema(json.dumps(written("a" * MAX_PATTERN))), dict)
    problem = _refused(written("a" * (MAX_PATTERN + 1)))
    assert problem.path == path
    assert "4096 characters" in problem.what


def test_smallest_part_that_fails_is_located():
    def why(part: dict[str, object]) -> str:
        return "bad" if "bad" in json.dumps(part) else ""

    schema: dict[str, object] = {"anyOf": [{"type": "null"}, {"items": {"pattern": "bad"}}]}
    assert _locate(schema, "bad", why) == "#/anyOf/1/items"
    assert _locate(schema, "worse", why) == "#"
    assert _locate({"const": "bad"}, "bad", why) == "#"
    assert _locate({"const": "bad", "items": {"const": "good"}}, "bad", why) == "#"


def test_locating_has_a_limit():
    calls = []

    def why(part: dict[str, object]) -> str:
        calls.append(part)
        return ""

    assert _locate({"anyOf": [{} for _ in range(5000)]}, "too large", why) == "#"
    assert len(calls) == MAX_LOCATED


def test_locating_ends_when_it_is_late():
    calls = []

    def why(part: dict[str, object]) -> str:
        calls.append(part)
        return "bad" if part == {} else ""

    schema: dict[str, object] = {"anyOf": [{}, {"type": "null"}, {"type": "string"}]}
    found = locate(schema, "bad", what_fails=why, is_late=lambda: len(calls) >= 2)
    assert found == "#"
    assert len(calls) == 2
    assert _locate(schema, "bad", why) == "#/anyOf/0"
