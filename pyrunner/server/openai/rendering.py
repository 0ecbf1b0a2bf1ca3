"""Events to OpenAI's documents, streamed and whole.

A rendering is made per request and used by one thread.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from pyrunner import __version__
from pyrunner.server.openai.logprobs import (
    ChatLogprobs,
    LogprobsRendering,
    NoLogprobs,
    TextLogprobs,
)
from pyrunner.types import (
    Event,
    FinishEvent,
    FinishReason,
    ReasoningEvent,
    TextEvent,
    Timings,
    TokenLogprobs,
    ToolCallEvent,
    Usage,
)

Document = dict[str, object]

FINGERPRINT = f"pyrunner-{__version__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What every document of one answer repeats."""

    id: str
    created: int
    """Unix seconds."""
    model: str
    """The name the client used."""

    def document(self, kind: str, choices: list[Document]) -> Document:
        """One document of this answer."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
        }


class Rendering(Protocol):
    """One route's form."""

    def opening(self) -> list[Document]:
        """Chunks before the first event."""
        ...

    def chunk(self, event: TextEvent | ReasoningEvent | ToolCallEvent) -> Document:
        """One piece."""
        ...

    def closing(self, finish: FinishEvent, *, include_usage: bool) -> list[Document]:
        """Chunks at the end of a stream that did not fail."""
        ...

    def whole(self, events: Iterable[Event]) -> Document | None:
        """The answer in one document; None when the events end before their `FinishEvent`."""
        ...


class ChatRendering:
    """``chat.completion`` and ``chat.completion.chunk``."""

    def __init__(self, answer: Answer, *, has_logprobs: bool = False) -> None:
        self._answer = answer
        self._logprobs: LogprobsRendering = ChatLogprobs() if has_logprobs else NoLogprobs()

    def opening(self) -> list[Document]:
        """The role comes first, alone."""
        return [self._chunk({"role": "assistant", "content": ""})]

    def chunk(self, event: TextEvent | ReasoningEvent | ToolCallEvent) -> Document:
        """A delta of content, reasoning or a tool call."""
        match event:
            case TextEvent(text=text, logprobs=tokens):
                return self._chunk({"content": text}, logprobs=self._logprobs.document(tokens))
            case ReasoningEvent(text=text):
                return self._chunk({"reasoning_content": text})
            case ToolCallEvent():
                return self._chunk({"tool_calls": [_call_delta(event)]})

    def closing(self, finish: FinishEvent, *, include_usage: bool) -> list[Document]:
        """The reason, then the usage if asked for; timings on whichever is last."""
        chunks = [self._chunk({}, finish.reason)]
        if include_usage:
            chunks.append(self._answer.document("chat.completion.chunk", []))
            chunks[-1]["usage"] = usage(finish.usage)
        chunks[-1]["timings"] = timings(finish)
        return chunks

    def whole(self, events: Iterable[Event]) -> Document | None:
        """One message."""
        message = _Message()
        tokens: list[TokenLogprobs] = []
        for event in events:
            if isinstance(event, FinishEvent):
                choice: Document = {
                    "index": 0,
                    "message": message.document(),
                    "logprobs": self._logprobs.document(tokens),
                    "finish_reason": event.reason.value,
                }
                document = self._answer.document("chat.completion", [choice])
                return document | {"usage": usage(event.usage), "timings": timings(event)}
            message.add(event)
            if isinstance(event, TextEvent):
                tokens.extend(event.logprobs)
        return None

    def _chunk(
        self, delta: Document, reason: FinishReason | None = None, logprobs: object = None
    ) -> Document:
        choice: Document = {
            "index": 0,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": reason.value if reason else None,
        }
        return self._answer.document("chat.completion.chunk", [choice])


class TextRendering:
    """``text_completion``, streamed and whole alike."""

    def __init__(self, answer: Answer, *, has_logprobs: bool = False) -> None:
        self._answer = answer
        self._logprobs: LogprobsRendering = TextLogprobs() if has_logprobs else NoLogprobs()

    def opening(self) -> list[Document]:
        """Nothing: the first chunk is text."""
        return []

    def chunk(self, event: TextEvent | ReasoningEvent | ToolCallEvent) -> Document:
        """A piece of text; raw completions have nothing else."""
        if not isinstance(event, TextEvent):
            return self._document("")
        return self._document(event.text, logprobs=self._logprobs.document(event.logprobs))

    def closing(self, finish: FinishEvent, *, include_usage: bool) -> list[Document]:
        """The reason, then the usage if asked for."""
        chunks = [self._document("", finish.reason)]
        if include_usage:
            chunks.append(self._answer.document("text_completion", []))
            chunks[-1]["usage"] = usage(finish.usage)
        chunks[-1]["timings"] = timings(finish)
        return chunks

    def whole(self, events: Iterable[Event]) -> Document | None:
        """All text in one choice."""
        pieces: list[str] = []
        tokens: list[TokenLogprobs] = []
        for event in events:
            if isinstance(event, FinishEvent):
                logprobs = self._logprobs.document(tokens)
                document = self._document("".join(pieces), event.reason, logprobs)
                return document | {"usage": usage(event.usage), "timings": timings(event)}
            if isinstance(event, TextEvent):
                pieces.append(event.text)
                tokens.extend(event.logprobs)
        return None

    def _document(
        self, text: str, reason: FinishReason | None = None, logprobs: object = None
    ) -> Document:
        choice: Document = {
            "index": 0,
            "text": text,
            "logprobs": logprobs,
            "finish_reason": reason.value if reason else None,
        }
        return self._answer.document("text_completion", [choice])


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Message:
    """Collects the pieces of one assistant message."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, _Call] = field(default_factory=dict)

    def add(self, event: TextEvent | ReasoningEvent | ToolCallEvent) -> None:
        match event:
            case TextEvent(text=text):
                self.content.append(text)
            case ReasoningEvent(text=text):
                self.reasoning.append(text)
            case ToolCallEvent(index=index):
                call = self.calls.setdefault(index, _Call())
                call.id = call.id or event.id
                call.name = call.name or event.name
                call.arguments.append(event.arguments)

    def document(self) -> Document:
        content = "".join(self.content)
        message: Document = {
            "role": "assistant",
            "content": content if content or not self.calls else None,
        }
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": "".join(call.arguments)},
                }
                for _, call in sorted(self.calls.items())
            ]
        return message


def usage(counts: Usage) -> Document:
    """OpenAI's ``usage``."""
    return {
        "prompt_tokens": counts.prompt_tokens,
        "completion_tokens": counts.completion_tokens,
        "total_tokens": counts.total_tokens,
        "prompt_tokens_details": {"cached_tokens": counts.cached_tokens},
        "completion_tokens_details": {
            "accepted_prediction_tokens": counts.accepted_prediction_tokens,
            "rejected_prediction_tokens": counts.rejected_prediction_tokens,
        },
    }


def timings(finish: FinishEvent) -> Document:
    """llama-server's ``timings``: counts without cached tokens, milliseconds, tokens per second."""
    n_prompt = finish.usage.prompt_tokens - finish.usage.cached_tokens
    n_predicted = finish.usage.completion_tokens
    spent: Timings = finish.timings
    return {
        "cache_n": finish.usage.cached_tokens,
        "prompt_n": n_prompt,
        "prompt_ms": spent.prompt_s * 1000,
        "prompt_per_second": _rate(n_prompt, spent.prompt_s),
        "predicted_n": n_predicted,
        "predicted_ms": spent.decode_s * 1000,
        "predicted_per_second": _rate(n_predicted, spent.decode_s),
    }


def _rate(n_tokens: int, seconds: float) -> float:
    return n_tokens / seconds if seconds > 0 else 0.0


def _call_delta(event: ToolCallEvent) -> Document:
    function: Document = {"arguments": event.arguments}
    delta: Document = {"index": event.index, "function": function}
    if event.name:
        function["name"] = event.name
    if event.id or event.name:
        delta |= {"id": event.id, "type": "function"}
    return delta
