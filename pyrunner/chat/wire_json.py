"""The JSON that csrc's chat part reads and writes: `csrc/chat_template.h`, `csrc/chat_parser.h`."""

from typing import Literal

import msgspec

from pyrunner.types import (
    ChatMessage,
    ChatRequest,
    JsonText,
    ReasoningEvent,
    TextEvent,
    Tool,
    ToolCall,
    ToolCallEvent,
    ToolChoice,
)

ParsedEvent = TextEvent | ReasoningEvent | ToolCallEvent
"""What a parser yields: every event but the last one of a stream."""


class _Function(msgspec.Struct, frozen=True):
    name: str
    arguments: JsonText


class _Call(msgspec.Struct, frozen=True):
    id: str
    function: _Function
    type: Literal["function"] = "function"


class _Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    role: str
    content: str | None
    name: str = ""
    reasoning_content: str = ""
    tool_calls: tuple[_Call, ...] = ()
    tool_call_id: str = ""


class _Tool(msgspec.Struct, frozen=True):
    name: str
    description: str
    parameters: JsonText


class _Request(msgspec.Struct, frozen=True):
    messages: tuple[_Message, ...]
    tools: tuple[_Tool, ...]
    tool_choice: ToolChoice
    parallel_tool_calls: bool
    template_kwargs: JsonText


def encode_request(request: ChatRequest) -> bytes:
    """Write what a template needs of a request; sampling and limits stay behind."""
    return _ENCODER.encode(
        _Request(
            messages=tuple(_message(message) for message in request.messages),
            tools=tuple(_tool(tool) for tool in request.tools),
            tool_choice=request.tool_choice,
            parallel_tool_calls=request.parallel_tool_calls,
            template_kwargs=request.template_kwargs,
        )
    )


def decode_events(events: bytes) -> tuple[ParsedEvent, ...]:
    """Read the events a native parser reported; b"" is none."""
    return _DECODER.decode(events) if events else ()


def _message(message: ChatMessage) -> _Message:
    return _Message(
        role=message.role,
        content=message.content,
        name=message.name or "",
        reasoning_content=message.reasoning_content or "",
        tool_calls=tuple(_call(call) for call in message.tool_calls),
        tool_call_id=message.tool_call_id or "",
    )


def _call(call: ToolCall) -> _Call:
    return _Call(id=call.id, function=_Function(name=call.name, arguments=call.arguments))


def _tool(tool: Tool) -> _Tool:
    return _Tool(name=tool.name, description=tool.description, parameters=tool.parameters)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(tuple[ParsedEvent, ...])
