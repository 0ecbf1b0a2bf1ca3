"""The four ways to say what an answer has to look like, as one output format."""

import msgspec

from pyrunner.errors import InvalidParameterError, UnsupportedParameterError
from pyrunner.server.openai.schema import ChatBody, GenerationBody, ResponseFormat
from pyrunner.types import OutputFormat, OutputKind

_ANY_OBJECT: dict[str, object] = {"type": "object"}


def output_format(body: GenerationBody) -> OutputFormat | None:
    """What a request asks for; None when the answer is free.

    Raises:
        InvalidParameterError: Two parameters ask for something, or one is missing, empty or where
            it would be ignored.
        UnsupportedParameterError: A format and tools, whose calls are formats of their own.
    """
    asked = [each for each in (_from_response_format(body), *_from_extras(body)) if each]
    if not asked:
        return None
    output = asked[0]
    if len(asked) > 1:
        raise InvalidParameterError(
            param=asked[1].param, problem=f"contradicts '{output.param}'; give one of them"
        )
    if isinstance(body, ChatBody) and body.tools and body.tool_choice != "none":
        raise UnsupportedParameterError(
            param=output.param, hint="Give it without 'tools', or with 'tool_choice' none."
        )
    return output


def _from_response_format(body: GenerationBody) -> OutputFormat | None:
    given = body.response_format
    if given is None:
        return None
    _check_parts(given)
    if given.type == "text":
        return None
    schema = _named_schema(given) if given.type == "json_schema" else given.schema or _ANY_OBJECT
    return _json_schema(schema, "response_format")


def _check_parts(given: ResponseFormat) -> None:
    for name, part, owner in (
        ("json_schema", given.json_schema, "json_schema"),
        ("schema", given.schema, "json_object"),
    ):
        if part is not None and given.type != owner:
            raise InvalidParameterError(
                param=f"response_format.{name}",
                problem=f"would be ignored: it belongs to type '{owner}', not '{given.type}'",
            )


def _named_schema(given: ResponseFormat) -> dict[str, object]:
    if given.json_schema is None:
        raise InvalidParameterError(param="response_format.json_schema", problem="is required")
    return given.json_schema.schema


def _from_extras(body: GenerationBody) -> tuple[OutputFormat | None, ...]:
    return (
        None if body.json_schema is None else _json_schema(body.json_schema, "json_schema"),
        _text(OutputKind.GRAMMAR, body.grammar, "grammar"),
        _text(OutputKind.REGEX, body.regex, "regex"),
    )


def _json_schema(schema: dict[str, object], param: str) -> OutputFormat:
    # In the order the client gave it, which is the order of the answer's properties.
    text = msgspec.json.encode(schema).decode()
    return OutputFormat(kind=OutputKind.JSON_SCHEMA, text=text, param=param)


def _text(kind: OutputKind, text: str | None, param: str) -> OutputFormat | None:
    if text is None:
        return None
    if not text:
        raise InvalidParameterError(param=param, problem="is empty; leave it out for a free answer")
    return OutputFormat(kind=kind, text=text, param=param)
