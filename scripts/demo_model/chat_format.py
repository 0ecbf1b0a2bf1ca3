"""Conversations as data, and their text as the model's own chat template renders it."""

import dataclasses
import functools
import json
import pathlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

Message = dict[str, Any]
Tool = dict[str, Any]

TEMPLATE_PATH = pathlib.Path(__file__).parent / "chat_template.jinja"
END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One conversation to learn from or to be examined with.

    Attributes:
        messages: OpenAI-style messages; assistant turns are what the model learns.
        tools: OpenAI-style tools, rendered into the system turn.
        document: Plain text instead of a conversation; `messages` is empty then.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    document: str = ""


def user(text: str) -> Message:
    """Make a user turn."""
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    """Make an assistant turn that is plain text."""
    return {"role": "assistant", "content": text}


def system(text: str) -> Message:
    """Make a system turn."""
    return {"role": "system", "content": text}


def calls(*name_and_arguments: tuple[str, dict[str, Any]]) -> Message:
    """Make an assistant turn that calls tools."""
    tool_calls = [
        {"type": "function", "function": {"name": name, "arguments": arguments}}
        for name, arguments in name_and_arguments
    ]
    return {"role": "assistant", "content": "", "tool_calls": tool_calls}


def tool_result(text: str) -> Message:
    """Make the turn that hands a tool's answer to the model."""
    return {"role": "tool", "content": text}


def _to_json(value: Any) -> str:
    """Render JSON with llama.cpp's separators: ', ' and ': ', nothing escaped for HTML."""
    return json.dumps(value, ensure_ascii=False)


@functools.cache
def _template() -> "jinja2.Template":
    import jinja2  # noqa: PLC0415 - tests of the file need the cases, not the corpus

    environment = jinja2.Environment(  # noqa: S701 - the output is a prompt, not a page
        trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["tojson"] = _to_json
    return environment.from_string(TEMPLATE_PATH.read_text(encoding="utf-8"))


def render(sample: Sample, *, add_generation_prompt: bool = False) -> str:
    """Return the exact text that the model sees.

    Args:
        sample: Conversation or document.
        add_generation_prompt: End with an opened assistant turn, as before generation.
    """
    if sample.document:
        return sample.document + ("" if add_generation_prompt else END_OF_TEXT)
    text: str = _template().render(
        messages=sample.messages,
        tools=sample.tools,
        add_generation_prompt=add_generation_prompt,
    )
    return text


def answer_text(message: Message) -> str:
    """Return what the model has to write for an assistant turn, without the turn's end."""
    if not message.get("tool_calls"):
        return str(message["content"])
    blocks = []
    for call in message["tool_calls"]:
        name, arguments = call["function"]["name"], _to_json(call["function"]["arguments"])
        blocks.append(f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>')
    return "\n".join(blocks)
