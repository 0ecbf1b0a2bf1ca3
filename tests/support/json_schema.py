"""A validator of the JSON schemas that tests use, written from the standard and not from ours."""

import json
import re
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def conforms(value: Any, schema: Any) -> bool:
    """Whether a value follows a schema; keywords that are unknown here are an error."""
    if isinstance(schema, bool):
        return schema
    return all(_keeps(value, keyword, wanted, schema) for keyword, wanted in schema.items())


def _keeps(value: Any, keyword: str, wanted: Any, schema: dict[str, Any]) -> bool:  # noqa: C901, PLR0911, PLR0912 - a table
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match keyword:
        case "type":
            return any(
                _is(value, each) for each in ([wanted] if isinstance(wanted, str) else wanted)
            )
        case "enum":
            return any(_equal(value, each) for each in wanted)
        case "const":
            return _equal(value, wanted)
        case "anyOf":
            return any(conforms(value, each) for each in wanted)
        case "minimum":
            return not is_number or value >= wanted
        case "maximum":
            return not is_number or value <= wanted
        case "multipleOf":
            return not is_number or value % wanted == 0
        case "minLength":
            return not isinstance(value, str) or len(value) >= wanted
        case "maxLength":
            return not isinstance(value, str) or len(value) <= wanted
        case "pattern":
            return not isinstance(value, str) or re.search(wanted, value) is not None
        case "minItems":
            return not isinstance(value, list) or len(value) >= wanted
        case "maxItems":
            return not isinstance(value, list) or len(value) <= wanted
        case "items":
            return not isinstance(value, list) or all(conforms(each, wanted) for each in value)
        case "required":
            return not isinstance(value, dict) or all(name in value for name in wanted)
        case "properties":
            return not isinstance(value, dict) or all(
                conforms(value[name], each) for name, each in wanted.items() if name in value
            )
        case "additionalProperties":
            extra = set(value) - set(schema["properties"]) if isinstance(value, dict) else ()
            return all(conforms(value[name], wanted) for name in extra)
        case _:
            raise AssertionError(keyword)


def _is(value: Any, kind: str) -> bool:
    if kind == "integer":
        return _is(value, "number") and value == int(value)
    return isinstance(value, _TYPES[kind]) and (kind == "boolean") == isinstance(value, bool)


def _equal(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)
