"""What llama.cpp knows of the form of a template's tool calls."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from pyrunner import _native
from pyrunner.chat.trigger import NO_THINKING, Thinking
from pyrunner.types import ChatRequest, Tool, ToolChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFormat:
    """How the tool calls of one answer have to look, as llama.cpp has it for a template."""

    grammar: str
    """GBNF; empty where the template has no form of calls that could be held to."""
    is_lazy: bool
    """It holds from the first trigger on; else from the beginning of the answer."""
    triggers: tuple[bytes, ...] = ()
    thinking: Thinking = NO_THINKING
    begun: bytes = b""
    """The part of the prompt that belongs to the answer."""
    visible: tuple[int, ...] = ()
    """Control tokens whose text counts."""
    is_required: bool
    """The answer has to have a call."""
    tools: Mapping[int, Tool]
    """Those that may be called, by their places in the request."""

    @property
    def strict(self) -> tuple[int, ...]:
        """The places of tools whose arguments are held to their schemas."""
        return tuple(place for place, tool in self.tools.items() if tool.is_strict)

    @property
    def is_promised(self) -> bool:
        """The client relies on it, so that nothing can be said without it."""
        return self.is_required or bool(self.strict)


def call_format(request: ChatRequest, prompt: _native.ChatPrompt) -> CallFormat | None:
    """The form of the calls in the answer to a prompt; None where none has to be followed.

    Args:
        request: What was asked for.
        prompt: Rendered from `with_callable_tools(request)`.
    """
    choice = request.tool_choice
    tools = _callable(request)
    is_required = choice is ToolChoice.REQUIRED
    is_promised = is_required or any(tool.is_strict for tool in tools.values())
    if choice is ToolChoice.NONE or not tools or not (is_promised or prompt.grammar):
        return None
    return CallFormat(
        grammar=prompt.grammar,
        is_lazy=prompt.is_grammar_lazy if prompt.grammar else not is_required,
        is_required=is_required,
        triggers=tuple(prompt.grammar_triggers),
        thinking=Thinking(prompt.thinking_start, tuple(prompt.thinking_ends)),
        begun=prompt.generation_prompt,
        visible=tuple(prompt.preserved_tokens),
        tools=tools,
    )


def with_callable_tools(request: ChatRequest) -> ChatRequest:
    """The same request with the tools only that the model may call."""
    return replace(request, tools=tuple(_callable(request).values()))


def _callable(request: ChatRequest) -> dict[int, Tool]:
    only = request.required_tool
    return {place: tool for place, tool in enumerate(request.tools) if only in (None, tool.name)}
