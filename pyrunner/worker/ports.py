"""What the worker needs from below, as interfaces.

The real parts are `pyrunner.engine.loop.EngineLoop` and `pyrunner.chat.conversation.ChatFormat`
(see `native`); tests drive the same worker with a scripted engine.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from pyrunner.engine.constraint import Constraint
from pyrunner.engine.request import GenerationRequest, StepEvent
from pyrunner.types import (
    ChatRequest,
    EmbeddingResult,
    FinishEvent,
    ModelInfo,
    OutputFormat,
    ReasoningEvent,
    SamplingParams,
    TextEvent,
    ToolCallEvent,
)
from pyrunner.wire.launch import Launch

if TYPE_CHECKING:
    from pyrunner.chat.call_format import CallFormat

Piece = TextEvent | ReasoningEvent | ToolCallEvent
"""A part of an answer."""

OnProgress = Callable[[float], bool]
"""Told the fraction that is loaded, 0..1; answers False to give up."""

IsWanted = Callable[[], bool]
"""Any thread: whether somebody still waits for an answer. Once False it stays so."""


class Loop(Protocol):
    """Runs requests. Only the engine thread calls it, but for `interrupt`, `hurry` and counts."""

    @property
    def has_work(self) -> bool:
        """Whether `step` would do something."""
        ...

    @property
    def n_running(self) -> int:
        """Requests that hold a lane."""
        ...

    @property
    def info(self) -> ModelInfo:
        """What was loaded."""
        ...

    def submit(self, request: GenerationRequest) -> None:
        """Queue a request. Raises InvalidRequestError leaves and keeps nothing then."""
        ...

    def cancel(self, request_id: int) -> None:
        """End a request; unknown ones are ignored."""
        ...

    def step(self) -> Sequence[StepEvent]:
        """One forward pass. Raises DecodeError when the session is broken."""
        ...

    def tidy(self) -> bool:
        """Prepare later steps for some milliseconds. Returns whether there is more to do."""
        ...

    def check(self) -> None:
        """Between steps: raise InvariantError when what it holds does not add up."""
        ...

    def interrupt(self) -> None:
        """Any thread: cut the running prompt chunk or embedding short."""
        ...

    def hurry(self, request_id: int) -> None:
        """Any thread: its `cancel` is about to come. Cuts short what it makes useless."""
        ...

    def embed(
        self, inputs: Sequence[Sequence[int]], *, normalize: bool, request_id: int
    ) -> EmbeddingResult | None:
        """One vector per input of that request; None when it was cut short: ask again."""
        ...

    def leave(self) -> None:
        """The last call: save what may be wanted when the model is loaded again, in bounded time.

        Not after `step` has raised.
        """
        ...


class Parser(Protocol):
    """Turns the text of one answer into pieces. Only the I/O thread calls it."""

    def feed(self, text: str) -> Sequence[Piece]:
        """Pieces that are complete with this text."""
        ...

    def finish(self, finish: FinishEvent) -> tuple[Sequence[Piece], FinishEvent]:
        """What was held back, and the finish with its reason corrected."""
        ...


class Rendered(Protocol):
    """A conversation as the model reads it."""

    @property
    def tokens(self) -> list[int]:
        """The prompt."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """Stop strings that the format needs besides the request's own."""
        ...

    @property
    def preserved_tokens(self) -> Sequence[int]:
        """Control tokens whose text the parser looks for."""
        ...

    @property
    def parser(self) -> Parser:
        """For the answer."""
        ...

    @property
    def calls(self) -> "CallFormat | None":
        """What its tool calls have to follow."""
        ...


class Prompts(Protocol):
    """Text to tokens. Only the prompt thread calls it; native work happens without the GIL."""

    def render(self, request: ChatRequest) -> Rendered:
        """Apply the chat template. Raises TemplateError."""
        ...

    def prepare(self, sampling: SamplingParams) -> None:
        """What samplers take long for. Raises InvalidParameterError."""
        ...

    def constrain(self, output: OutputFormat) -> Constraint:
        """For one answer. Raises InvalidParameterError for what cannot be guaranteed."""
        ...

    def constrain_calls(self, calls: "CallFormat") -> Constraint | None:
        """For one answer; None where nothing was promised and it cannot be done.

        Raises InvalidRequestError leaves for what was promised.
        """
        ...

    def tokenize(self, text: str) -> list[int]:
        """Tokens of a raw prompt, with the model's special ones."""
        ...

    def inputs(self, texts: Sequence[str | Sequence[int]]) -> Sequence[Sequence[int]]:
        """Tokens of what is to be embedded. Raises InvalidRequestError leaves: it cannot be."""
        ...

    def pairs(self, query: str, documents: Sequence[str]) -> Sequence[Sequence[int]]:
        """Tokens of the query with each document. Raises as `inputs`: it cannot be scored."""
        ...

    def tokenize_answer(self, text: str) -> list[int]:
        """Tokens that an answer of this text would have."""
        ...


class Backend(Protocol):
    """Makes the two from model files."""

    def warm_up(self) -> None:
        """Do what every load needs, in a process that has nothing else to do."""
        ...

    def load(self, launch: Launch, on_progress: OnProgress, /) -> tuple[Loop, Prompts] | None:
        """Load the model, in the engine thread.

        Returns:
            None when `on_progress` gave up.

        Raises:
            NativeError, InvalidRequestError: It cannot be loaded.
        """
        ...

    def pass_on_log(self) -> None:
        """Any thread: write what native code has logged since the last time to our log."""
        ...
