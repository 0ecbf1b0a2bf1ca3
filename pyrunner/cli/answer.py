"""One streamed answer of a model: the request, and how its pieces are shown."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, Any

from pyrunner.cli import render, waiting_line
from pyrunner.cli.client import Client
from pyrunner.errors import PyrunnerError

API = "/engines/v1"
"""Where a model runner has OpenAI's API."""

Message = dict[str, str]
"""A turn of the conversation: role and content."""


@dataclass(slots=True)
class Told:
    """What an answer has said so far; also true when it is interrupted."""

    text: str = ""
    has_reasoned: bool = False
    usage: Mapping[str, int] | None = None
    timings: Mapping[str, float] | None = None


class Speaker:
    """Asks one model and writes its answers to `out` as they arrive. The main thread calls this."""

    def __init__(
        self, client: Client, model: str, out: IO[str], *, is_verbose: bool, api: str = API
    ) -> None:
        self._client = client
        self._model = model
        self._out = out
        self._is_verbose = is_verbose
        self._path = f"{api}/chat/completions"

    def preload(self) -> None:
        """Load the model and answer nothing.

        Raises:
            ServerAnswerError: It cannot be loaded, or not now.
        """
        body = {"model": self._model, "messages": []}
        preload_only = {"X-Preload-Only": "true"}
        with self._waiting(), self._client.open("POST", self._path, body, preload_only) as answer:
            for _ in answer.chunks():
                pass

    def answer(self, messages: Sequence[Message], told: Told) -> None:
        """Stream the answer to `messages`, ending with a newline.

        Args:
            messages: The conversation, the question last.
            told: Filled as the answer arrives, so that an interrupted one is not lost.

        Raises:
            ServerAnswerError: The server refused or broke off.
        """
        body: dict[str, Any] = {"model": self._model, "messages": list(messages), "stream": True}
        if self._is_verbose:
            body["stream_options"] = {"include_usage": True}
        try:
            with (
                self._waiting() as end_wait,
                self._client.open("POST", self._path, body) as answer,
            ):
                for chunk in answer.events():
                    end_wait()
                    self._take(chunk, told)
        except KeyboardInterrupt:
            self._end_line()
            raise
        except PyrunnerError:
            if told.text or told.has_reasoned:
                self._end_line()
            raise
        render.show("\n", self._out)
        if self._is_verbose:
            render.show(account(told), self._out)

    def _waiting(self) -> AbstractContextManager[Callable[[], None]]:
        # Loading takes seconds to minutes, and the first event comes after it.
        return waiting_line.shown(f"Waiting for {self._model} ...", sys.stderr)

    def _end_line(self) -> None:
        # What comes next on this terminal is not part of the answer; a file has what was said.
        if self._out.isatty():
            render.show("\n", self._out)

    def _take(self, chunk: Mapping[str, Any], told: Told) -> None:
        told.usage = chunk.get("usage") or told.usage
        told.timings = chunk.get("timings") or told.timings
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            self._show_reasoning(str(delta.get("reasoning_content") or ""), told)
            self._show_text(str(delta.get("content") or ""), told)

    def _show_reasoning(self, text: str, told: Told) -> None:
        if text:
            is_first, told.has_reasoned = not told.has_reasoned, True
            render.show(f"Thinking:\n{text}" if is_first else text, self._out)

    def _show_text(self, text: str, told: Told) -> None:
        if text:
            is_first = told.has_reasoned and not told.text
            # Before it is shown: Ctrl-C may come in between, and what was shown must be kept.
            told.text += text
            render.show(f"\n\n--\n\n{text}" if is_first else text, self._out)


def account(told: Told) -> str:
    """The lines of ``--verbose``: what the answer cost, as far as the server said."""
    text = ""
    if told.usage:
        prompt, completion = told.usage["prompt_tokens"], told.usage["completion_tokens"]
        total = prompt + completion
        text += f"\nToken usage: {prompt} prompt + {completion} completion = {total} total\n"
    if told.timings and told.timings.get("predicted_per_second"):
        text += f"Speed: {told.timings['predicted_per_second']:.1f} tokens/s\n"
    return text
