"""An engine without a model: real threads, sockets and processes can be tested before and beside
native code. What a prompt says is what happens:

``crash``   the process aborts in the next step          ``broken``  DecodeError in the next step
``refuse``  the submission is an error                   ``slow``    the prompt takes until it is
``bang``    rendering is an error                                    interrupted
anything    the words ``w0 w1 ...`` until `max_tokens`, one per step
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyrunner.engine.constraint import Constraint
from pyrunner.engine.request import Finished, GenerationRequest, StepEvent, Text
from pyrunner.errors import DecodeError, InvalidParameterError, PyrunnerError, TemplateError
from pyrunner.types import (
    ChatRequest,
    EmbeddingResult,
    FinishEvent,
    FinishReason,
    ModelInfo,
    OutputFormat,
    SamplingParams,
    Timings,
    Usage,
)
from pyrunner.wire.launch import Launch

if TYPE_CHECKING:
    from pyrunner.chat.call_format import CallFormat
from pyrunner.worker.ports import Loop, OnProgress, Prompts
from pyrunner.worker.prepare import PlainText

N_LANES = 4
N_TO_TIDY = 3
"""Times there is something to tidy at rest."""
SCALDING = 9.0
"""A temperature that scripted prompts refuse."""

INFO = ModelInfo(
    architecture="scripted",
    description="scripted engine",
    n_ctx=4096,
    n_ctx_max=4096,
    n_ctx_train=4096,
    n_vocab=256,
    n_embd=2,
    n_params=0,
    size_bytes=0,
    n_lanes=N_LANES,
    kv_bytes=2**20,
)

_NO_TIME = Timings(queue_s=0.0, prompt_s=0.0, decode_s=0.0)


@dataclass
class _Running:
    request: GenerationRequest
    n_written: int = 0

    @property
    def script(self) -> str:
        return "".join(map(chr, self.request.tokens))


class ScriptedLoop:
    """`EngineLoop` as the worker knows it.

    Args:
        pause_s: How long a step takes, so that a stream lasts.
    """

    def __init__(self, pause_s: float = 0.0) -> None:
        self.info = INFO
        self.n_interrupts = 0
        self.has_left = False
        self.n_checks = 0
        self.n_tidied = 0
        self.embedded: list[list[Sequence[int]]] = []
        self._pause_s = pause_s
        self._running: dict[int, _Running] = {}
        self._waiting: deque[_Running] = deque()
        self._cancelled: list[_Running] = []
        self._interrupted = threading.Event()

    @property
    def has_work(self) -> bool:
        return bool(self._running or self._waiting or self._cancelled)

    @property
    def n_running(self) -> int:
        return len(self._running)

    def submit(self, request: GenerationRequest) -> None:
        running = _Running(request)
        if running.script == "refuse":
            raise InvalidParameterError(param="prompt", problem="is refused")
        self._waiting.append(running)

    def cancel(self, request_id: int) -> None:
        found = self._running.pop(request_id, None)
        if found is not None:
            self._cancelled.append(found)
        for each in list(self._waiting):
            if each.request.request_id == request_id:
                self._waiting.remove(each)
                self._cancelled.append(each)

    def leave(self) -> None:
        self.has_left = True

    def interrupt(self) -> None:
        self.n_interrupts += 1
        self._interrupted.set()

    def hurry(self, request_id: int) -> None:
        if request_id in self._running:
            self.interrupt()

    def step(self) -> Sequence[StepEvent]:
        while self._waiting and len(self._running) < N_LANES:
            admitted = self._waiting.popleft()
            self._running[admitted.request.request_id] = admitted
        events: list[StepEvent] = []
        events += [self._finish(each, FinishReason.CANCELLED) for each in self._cancelled]
        self._cancelled.clear()
        for each in list(self._running.values()):
            events += self._advance(each)
        if self._pause_s:
            self._interrupted.wait(self._pause_s)
        self._interrupted.clear()
        return events

    def tidy(self) -> bool:
        self.n_tidied += 1
        return self.n_tidied < N_TO_TIDY

    def check(self) -> None:
        self.n_checks += 1

    def embed(
        self, inputs: Sequence[Sequence[int]], *, normalize: bool, request_id: int
    ) -> EmbeddingResult | None:
        del request_id
        self.embedded.append(list(inputs))
        if any("".join(map(chr, each)) == "refuse" for each in inputs):
            raise InvalidParameterError(param="input", problem="is refused")
        return EmbeddingResult(
            vectors=tuple(bytes([len(each) % 256, normalize] * 4) for each in inputs),
            n_embd=2,
            n_tokens=sum(map(len, inputs)),
        )

    def _advance(self, each: _Running) -> list[StepEvent]:
        request_id = each.request.request_id
        if each.script == "crash":
            os.abort()
        if each.script == "broken":
            raise DecodeError(status=-3, during="a scripted step")
        if each.script == "slow" and not self._interrupted.wait(30.0):
            return []
        text = f"w{each.n_written} "
        each.n_written += 1
        if each.n_written == each.request.limits.max_tokens:
            del self._running[request_id]
            return [self._finish(each, FinishReason.LENGTH, text)]
        return [Text(request_id=request_id, text=text, token=0)]

    def _finish(self, each: _Running, reason: FinishReason, text: str = "") -> Finished:
        usage = Usage(prompt_tokens=len(each.request.tokens), completion_tokens=each.n_written)
        finish = FinishEvent(reason=reason, usage=usage, timings=_NO_TIME)
        return Finished(request_id=each.request.request_id, text=text, token=None, finish=finish)


@dataclass
class ScriptedRendered:
    tokens: list[int]
    stop: tuple[str, ...] = ()
    preserved_tokens: tuple[int, ...] = ()
    parser: PlainText = field(default_factory=PlainText)
    calls: "CallFormat | None" = None


class ScriptedPrompts:
    """Renders a conversation as the content of its last message."""

    def render(self, request: ChatRequest) -> ScriptedRendered:
        content = request.messages[-1].content or ""
        if content == "bang":
            raise TemplateError(problem="bang")
        return ScriptedRendered(self.tokenize(content), stop=("<end>",))

    def prepare(self, sampling: SamplingParams) -> None:
        if sampling.temperature == SCALDING:
            raise InvalidParameterError(param="temperature", problem="is too hot for a script")

    def constrain(self, output: OutputFormat) -> Constraint:
        raise InvalidParameterError(param=output.param, problem="cannot be followed by a script")

    def constrain_calls(self, _calls: "CallFormat") -> Constraint | None:
        return None

    def tokenize(self, text: str) -> list[int]:
        return [ord(each) for each in text]

    def tokenize_answer(self, text: str) -> list[int]:
        return self.tokenize(text)

    def inputs(self, texts: Sequence[str | Sequence[int]]) -> list[Sequence[int]]:
        return [self.tokenize(each) if isinstance(each, str) else each for each in texts]

    def pairs(self, query: str, documents: Sequence[str]) -> list[list[int]]:
        return [self.tokenize(query + each) for each in documents]


class ScriptedBackend:
    """Loads at once, or as `on_load` says.

    Args:
        pause_s: For `ScriptedLoop`.
        on_load: Called in the engine thread before the model is there; raises a load error, or
            answers False when it was given up.
    """

    def __init__(
        self, pause_s: float = 0.0, on_load: Callable[[OnProgress], bool] | None = None
    ) -> None:
        self._pause_s = pause_s
        self._on_load = on_load
        self.loop: ScriptedLoop | None = None

    def warm_up(self) -> None:
        """There is nothing to import."""

    def load(self, _launch: Launch, on_progress: OnProgress) -> tuple[Loop, Prompts] | None:
        if self._on_load is not None and not self._on_load(on_progress):
            return None
        self.loop = ScriptedLoop(self._pause_s)
        return self.loop, ScriptedPrompts()

    def pass_on_log(self) -> None:
        """There is no native code that could have logged anything."""


def raising(error: PyrunnerError) -> Callable[[OnProgress], bool]:
    """An `on_load` that fails."""

    def fail(_: OnProgress) -> bool:
        raise error

    return fail
