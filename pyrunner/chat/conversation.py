"""From a chat request to the tokens of a prompt, and from generated text back to events."""

from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from pyrunner import _native
from pyrunner.chat.call_format import CallFormat, call_format, with_callable_tools
from pyrunner.chat.wire_json import ParsedEvent, decode_events, encode_request
from pyrunner.errors import InvalidParameterError, TemplateError, UnsupportedParameterError
from pyrunner.types import ChatRequest, FinishEvent, FinishReason, ReasoningEvent, TextEvent

_SCHEMA_ERROR = "JSON schema error at "
"""How llama.cpp begins to say that the parameters of a tool are none."""


class ChatParser:
    """Splits the text generated for one prompt into events, while it arrives.

    What the events of one kind carry, concatenated, is what reading the whole output at once
    would give. Text that does not fit the model's own format, such as a malformed tool call, comes
    as content and never as an error. Used by one thread at a time.
    """

    def __init__(self, prompt: _native.ChatPrompt, *, is_plain: bool = False) -> None:
        """Begin an answer; with `is_plain` it is content whatever it looks like."""
        self._native = None if is_plain or prompt.is_plain else _native.ChatParser(prompt)

    def feed(self, text: str) -> tuple[ParsedEvent, ...]:
        """Take the next piece of output and return what it completes, often nothing."""
        if self._native is None:
            return (TextEvent(text=text),) if text else ()
        return decode_events(self._native.feed(text.encode()))

    def finish(self, finish: FinishEvent) -> tuple[tuple[ParsedEvent, ...], FinishEvent]:
        """Take the end of the output.

        Returns:
            The last events, to be sent before the second part: `finish`, whose reason has become
            TOOL_CALLS where the model stopped after at least one call and every call is whole.
        """
        if self._native is None:
            return (), finish
        is_stop = finish.reason is FinishReason.STOP
        events = decode_events(self._native.finish(is_truncated=not is_stop))
        if is_stop and self._native.has_whole_calls:
            finish = msgspec.structs.replace(finish, reason=FinishReason.TOOL_CALLS)
        return events, finish


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A conversation, ready for the engine."""

    tokens: list[int]
    """The prompt. Holds a beginning-of-sequence token where the model wants one, once."""
    stop: tuple[str, ...]
    """Stop strings of the template, beside those of the request; mostly none."""
    preserved_tokens: tuple[int, ...]
    """Control tokens whose text has to reach `parser`, although control tokens have none
    elsewhere: tool-call and reasoning delimiters."""
    parser: ChatParser
    calls: CallFormat | None
    """What the tool calls of the answer have to follow; None for nothing."""
    prompt: str
    """The text that `tokens` came from."""


class ChatFormat:
    """The conversation format of one model. Any thread.

    Rendering takes some milliseconds, without the GIL; calls take turns.
    """

    def __init__(self, model: _native.Model, template_override: str | None = None) -> None:
        """Parse the chat template.

        Args:
            model: A loaded model; it is kept alive.
            template_override: Jinja text that replaces the model's own template. A model without
                either is given ChatML.

        Raises:
            TemplateError: The template is not valid.
        """
        self._model = model
        self._templates = _native.ChatTemplates(model, (template_override or "").encode())

    @property
    def is_explicit(self) -> bool:
        """False when ChatML stands in for a template that nobody gave."""
        return self._templates.is_explicit

    def render(self, request: ChatRequest) -> Rendered:
        """Render and tokenise the messages of a request.

        A last message of the assistant is continued instead of answered. An answer with an output
        format is content from its first character, so the template is told not to think.

        Raises:
            UnsupportedParameterError: An output format, and a template that opens a thought all
                the same.
            TemplateError: The template refuses the messages, or a schema, an argument or a
                template variable is not valid JSON or nests too deep.
            InvalidParameterError: More text than can be rendered; or parameters of a tool that are
                no JSON schema.
        """
        output = request.output
        if output is not None:
            request = _without_thinking(request)
        prompt = self._rendered(with_callable_tools(request))
        if output is not None and _opens_thought(prompt):
            raise UnsupportedParameterError(
                param=output.param,
                hint="The prompt of this model begins the answer with a thought.",
            )
        text = self._text(request, prompt)
        return Rendered(
            # As llama-server does: csrc has already taken off a beginning-of-sequence token that
            # the tokeniser adds, so there is never a second one.
            tokens=self._model.tokenize(text, add_special=True, parse_special=True),
            stop=tuple(stop.decode("utf-8", "replace") for stop in prompt.stops),
            preserved_tokens=tuple(prompt.preserved_tokens),
            parser=ChatParser(prompt, is_plain=output is not None),
            calls=call_format(request, prompt),
            prompt=text,
        )

    def _rendered(self, request: ChatRequest) -> _native.ChatPrompt:
        try:
            return self._templates.render(encode_request(request))
        except TemplateError as error:
            # llama.cpp makes a grammar of the tools while it renders.
            if error.problem.startswith(_SCHEMA_ERROR):
                problem = error.problem.removeprefix(_SCHEMA_ERROR)
                raise InvalidParameterError(
                    param="tools", problem=f"has parameters that are no JSON schema, at {problem}"
                ) from error
            raise

    def _text(self, request: ChatRequest, prompt: _native.ChatPrompt) -> str:
        if request.required_tool is None:
            return prompt.text
        # The model is shown all tools, so that its prompt begins as in the rest of the talk.
        return self._templates.render(encode_request(request)).text


def _without_thinking(request: ChatRequest) -> ChatRequest:
    try:
        given = msgspec.json.decode(request.template_kwargs, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return request  # rendering says what is wrong with it
    chosen = {"enable_thinking": msgspec.Raw(b"false")} | given
    return replace(request, template_kwargs=msgspec.json.encode(chosen).decode())


def _opens_thought(prompt: _native.ChatPrompt) -> bool:
    """Whether text that holds no delimiter would be read as a thought."""
    if prompt.is_plain:
        return False
    probe = _native.ChatParser(prompt)
    events = (*decode_events(probe.feed(b"0")), *decode_events(probe.finish(is_truncated=False)))
    return any(isinstance(event, ReasoningEvent) for event in events)
