"""Which schemas are followed, and where the others are refused."""

import json

import pytest

from pyrunner.chat.schema import (
    FORMATS,
    MAX_LOCATED,
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH,
    Problem,
    locate,
    parse_schema,
)


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


def test_smallest_part_that_fails_is_located():
    def why(part: dict[str, object]) -> str:
        return "bad" if "bad" in json.dumps(part) else ""

    schema: dict[str, object] = {"anyOf": [{"type": "null"}, {"items": {"pattern": "bad"}}]}
    assert locate(schema, why) == "#/anyOf/1/items"
    assert locate({"const": "bad"}, why) == "#"
    assert locate({"const": "bad", "items": {"const": "good"}}, why) == "#"


def test_locating_has_a_limit():
    calls = []

    def why(part: dict[str, object]) -> str:
        calls.append(part)
        return "too large" if len(calls) == 1 else ""

    assert locate({"anyOf": [{} for _ in range(5000)]}, why) == "#"
    assert len(calls) == MAX_LOCATED + 1
