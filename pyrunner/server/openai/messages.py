"""One message of a conversation, from the wire to `types.ChatMessage`."""

from pyrunner.errors import InvalidParameterError, UnsupportedParameterError
from pyrunner.server.openai.schema import Message
from pyrunner.types import ChatMessage, ToolCall

_KNOWN_PARTS = {
    "image_url": "images",
    "input_audio": "audio",
    "file": "files",
    "video_url": "video",
    "refusal": "refusals",
}


def chat_message(i_message: int, message: Message) -> ChatMessage:
    """Carry one message over.

    Args:
        i_message: Its index, for the error's sentence.
        message: Its types are checked, its meaning is not.

    Raises:
        InvalidParameterError: Content is missing or a text part has none.
        UnsupportedParameterError: Content that is not text.
    """
    where = f"messages[{i_message}]"
    content = None if message.content is None else text_of(message.content, f"{where}.content")
    calls = message.tool_calls or []
    if calls and message.role != "assistant":
        raise InvalidParameterError(
            param=f"{where}.tool_calls", problem="belongs to assistant messages only"
        )
    if content is None and message.role != "assistant":
        raise InvalidParameterError(param=f"{where}.content", problem="is required")
    return ChatMessage(
        role=message.role,
        content=content,
        name=message.name,
        reasoning_content=message.reasoning_content,
        tool_calls=tuple(
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in calls
        ),
        tool_call_id=message.tool_call_id,
    )


def text_of(content: str | list[dict[str, object]], where: str) -> str:
    """A text, or the text of its parts.

    Raises:
        InvalidParameterError: A text part has none.
        UnsupportedParameterError: A part that is not text.
    """
    if isinstance(content, str):
        return content
    # Joined with a line break, as llama.cpp does for templates that take plain text.
    return "\n".join(_part(part, f"{where}[{i}]") for i, part in enumerate(content))


def _part(part: dict[str, object], where: str) -> str:
    kind = part.get("type")
    if kind == "text":
        text = part.get("text")
        if isinstance(text, str):
            return text
        raise InvalidParameterError(param=f"{where}.text", problem="has to be a text")
    if isinstance(kind, str) and kind in _KNOWN_PARTS:
        raise UnsupportedParameterError(
            param=f"{where}.type",
            hint=f"It is '{kind}', and {_KNOWN_PARTS[kind]} cannot be read yet: send text parts.",
        )
    raise InvalidParameterError(param=f"{where}.type", problem="has to be 'text'")
