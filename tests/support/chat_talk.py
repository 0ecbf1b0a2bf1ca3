"""Chat formats over real vocabularies, and answers fed to a parser in pieces."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache

from pyrunner._native import Model
from pyrunner.chat import ChatFormat, ChatParser
from pyrunner.types import (
    ChatMessage,
    ChatRequest,
    Event,
    FinishEvent,
    FinishReason,
    ReasoningEvent,
    TextEvent,
    Timings,
    Tool,
    ToolCallEvent,
    Usage,
)
from support.random_model import VOCABULARIES

TEMPLATES = VOCABULARIES / "templates"
"""Where the pinned llama.cpp collects the templates of some seventy models."""

WEATHER = Tool(
    name="get_weather",
    description="Current weather",
    parameters=(
        '{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},'
        '"required":["city"]}'
    ),
)

CUTS: dict[str, Callable[[str], list[str]]] = {
    "characters": list,
    "words": lambda text: re.findall(r"\s*\S+|\s+$", text),
    "at once": lambda text: [text],
}
"""Ways to cut an answer into the pieces that an engine might deliver."""


@cache
def vocabulary(name: str) -> Model:
    """A model without weights."""
    model = Model()
    path = VOCABULARIES / f"ggml-vocab-{name}.gguf"
    assert model.load([os.fsencode(path)], vocab_only=True) == 0, model.error
    return model


@cache
def chat_format(template: str, vocab: str = "qwen2") -> ChatFormat:
    """The format of one of llama.cpp's templates, by its file name without ``.jinja``."""
    return ChatFormat(vocabulary(vocab), (TEMPLATES / f"{template}.jinja").read_text())


def ask(*messages: ChatMessage, **fields: object) -> ChatRequest:
    """A request with these messages, or with a short question."""
    return ChatRequest(messages=messages or (user("Hi"),), **fields)  # type: ignore[arg-type]  # tests


def user(content: str) -> ChatMessage:
    """A message of the user."""
    return ChatMessage(role="user", content=content)


def ended(reason: FinishReason) -> FinishEvent:
    """The end of a stream."""
    return FinishEvent(
        reason=reason,
        usage=Usage(prompt_tokens=1, completion_tokens=1),
        timings=Timings(queue_s=0, prompt_s=0, decode_s=0),
    )


@dataclass
class Answer:
    """Everything a parser reported, put together again."""

    content: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Names and arguments."""
    ids: list[str] = field(default_factory=list, compare=False)
    reason: FinishReason = FinishReason.STOP

    def add(self, events: Iterable[Event]) -> None:
        """Take events; the rules for pieces of calls are asserted."""
        for event in events:
            match event:
                case TextEvent(text=text):
                    assert text
                    self.content += text
                case ReasoningEvent(text=text):
                    assert text
                    self.reasoning += text
                case ToolCallEvent():
                    self._add_call(event)
                case FinishEvent(reason=reason):
                    self.reason = reason

    def _add_call(self, event: ToolCallEvent) -> None:
        if event.index == len(self.calls):
            assert all((event.id, event.name)), "the first piece has id and name"
            self.calls.append((event.name, event.arguments))
            self.ids.append(event.id)
        else:
            assert not event.id + event.name, "later pieces have neither"
            assert event.arguments
            name, arguments = self.calls[event.index]
            self.calls[event.index] = (name, arguments + event.arguments)


def hear(
    parser: ChatParser, pieces: Iterable[str], reason: FinishReason = FinishReason.STOP
) -> Answer:
    """Feed an answer and end it."""
    answer = Answer()
    for piece in pieces:
        answer.add(parser.feed(piece))
    events, finish = parser.finish(ended(reason))
    answer.add((*events, finish))
    return answer
