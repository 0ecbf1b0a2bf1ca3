"""The tools of a chat, and which of them the answer has to call."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from pyrunner.errors import InvalidParameterError, UnsupportedParameterError
from pyrunner.server.openai.schema import ChatBody, ToolIn
from pyrunner.types import Tool, ToolChoice

_LONGEST_NAME = 64
"""Characters of an unknown name that an error repeats."""


class Choice(NamedTuple):
    """What `tool_choice` says."""

    kind: ToolChoice
    name: str | None = None
    """The only tool that may be called."""


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class _NamedFunction(msgspec.Struct, forbid_unknown_fields=True):
    """``{"type": "function", "function": {"name": "..."}}``."""

    type: Literal["function"]
    function: _Named


def tools(given: Sequence[ToolIn]) -> tuple[Tool, ...]:
    """Carry tools over.

    Raises:
        InvalidParameterError: Two have one name, so that nobody could tell which one is called.
    """
    names: set[str] = set()
    for i, each in enumerate(given):
        if each.function.name in names:
            raise InvalidParameterError(
                param=f"tools[{i}].function.name", problem="is another tool's name, too"
            )
        names.add(each.function.name)
    return tuple(_tool(each) for each in given)


def _tool(given: ToolIn) -> Tool:
    function = given.function
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=json_text(function.parameters),
        is_strict=function.strict is True,
    )


def json_text(document: dict[str, object] | None) -> str:
    """Write what was parsed, in its order; an empty object for nothing."""
    return msgspec.json.encode(document or {}).decode()


def tool_choice(body: ChatBody) -> Choice:
    """What a request asks for.

    Raises:
        InvalidParameterError: It is no choice, or asks for a tool that there is not.
        UnsupportedParameterError: It allows several of the tools.
    """
    given = body.tool_choice
    if given is None or given == "auto":
        return Choice(ToolChoice.AUTO)
    if given == "none":
        return Choice(ToolChoice.NONE)
    if isinstance(given, dict) and given.get("type") == "allowed_tools":
        raise UnsupportedParameterError(
            param="tool_choice", hint="Leave the other tools out of 'tools'."
        )
    name = None if given == "required" else _named(given)
    _check_callable(name, body.tools or ())
    return Choice(ToolChoice.REQUIRED, name)


def _named(given: object) -> str:
    try:
        return msgspec.convert(given, _NamedFunction).function.name
    except msgspec.ValidationError as error:
        raise InvalidParameterError(
            param="tool_choice",
            problem="has to be 'auto', 'none', 'required' or "
            '{"type": "function", "function": {"name": "..."}}',
        ) from error


def _check_callable(name: str | None, tools: Sequence[ToolIn]) -> None:
    if not tools:
        raise InvalidParameterError(param="tool_choice", problem="asks for a call without 'tools'")
    if name is not None and all(each.function.name != name for each in tools):
        raise InvalidParameterError(
            param="tool_choice.function.name",
            problem=f"is none of the tools: {name[:_LONGEST_NAME]!r}",
        )
