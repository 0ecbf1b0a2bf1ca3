"""A runtime that answers what a test scripted, with the interfaces of the real one."""

# ruff: noqa: ARG002 - the signatures are the real ones

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pyrunner.errors import ModelNotFoundError, PyrunnerError, RequestCancelledError
from pyrunner.models.store import StoredModel
from pyrunner.runtime.runner import IsCancelled, RunnerStatus, never_cancelled
from pyrunner.types import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    EmbeddingResult,
    Event,
    FinishEvent,
    FinishReason,
    ModelInfo,
    ModelMode,
    RerankRequest,
    RerankResult,
    TextEvent,
    Timings,
    Usage,
)

Item = Event | PyrunnerError | Exception | threading.Event
"""What a stream does next: yield an event, raise, or wait until the test is ready."""

FINISH = FinishEvent(
    reason=FinishReason.STOP,
    usage=Usage(prompt_tokens=12, completion_tokens=2, cached_tokens=4),
    timings=Timings(queue_s=0.001, prompt_s=0.5, decode_s=0.25),
)
HELLO: tuple[Item, ...] = (TextEvent(text="Hel"), TextEvent(text="lo"), FINISH)
INFO = ModelInfo(
    architecture="llama",
    description="scripted",
    n_ctx=2048,
    n_ctx_max=2048,
    n_ctx_train=2048,
    n_vocab=256,
    n_embd=3,
    n_params=1,
    size_bytes=1,
    n_lanes=4,
    kv_bytes=2**20,
)


class ScriptedStream:
    """Plays its script once."""

    def __init__(self, script: Sequence[Item]) -> None:
        self._script = list(script)
        self.closed = threading.Event()
        self.is_finished = False

    def poll(self, timeout_s: float) -> Event | None:
        while self._script and not self.closed.is_set():
            item = self._script[0]
            if isinstance(item, threading.Event):
                if not item.wait(timeout_s):
                    return None
                self._script.pop(0)
                continue
            self._script.pop(0)
            if isinstance(item, Exception):
                raise item
            self.is_finished = isinstance(item, FinishEvent)
            return item
        self.is_finished = True
        return None

    def __iter__(self) -> Iterator[Event]:
        while not self.is_finished:
            event = self.poll(1.0)
            if event is not None:
                yield event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.is_finished = True
        self.closed.set()


@dataclass
class ScriptedRunner:
    """One model that is ready."""

    runtime: "ScriptedRuntime"
    reference: str
    mode: ModelMode
    info: ModelInfo = INFO

    @property
    def model(self) -> StoredModel:
        raise NotImplementedError

    def chat(self, request: ChatRequest, keep_alive_s: float | None = None) -> ScriptedStream:
        return self.runtime.stream(request, keep_alive_s)

    def complete(
        self, request: CompletionRequest, keep_alive_s: float | None = None
    ) -> ScriptedStream:
        return self.runtime.stream(request, keep_alive_s)

    def embed(
        self,
        request: EmbeddingRequest,
        keep_alive_s: float | None = None,
        is_cancelled: IsCancelled = never_cancelled,
    ) -> EmbeddingResult:
        self.runtime.requests.append(request)
        self.runtime.keep_alives.append(keep_alive_s)
        self.runtime.started.release()
        tick = threading.Event()
        while not self.runtime.embeds.is_set():
            if is_cancelled():
                self.runtime.embed_cancelled.set()
                raise RequestCancelledError(during="embedding")
            tick.wait(0.01)
        vector = b"\x00\x00\x80\x3f\x00\x00\x00\x00\x00\x00\x00\xbf"  # 1, 0, -0.5
        n_tokens = 5 * len(request.inputs)
        return EmbeddingResult(vectors=(vector,) * len(request.inputs), n_embd=3, n_tokens=n_tokens)

    def rerank(
        self,
        request: RerankRequest,
        keep_alive_s: float | None = None,
        is_cancelled: IsCancelled = never_cancelled,
    ) -> RerankResult:
        """The longer a document, the better."""
        self.runtime.requests.append(request)
        self.runtime.keep_alives.append(keep_alive_s)
        scores = tuple(float(len(each)) for each in request.documents)
        return RerankResult(scores=scores, n_tokens=5 * len(scores))


@dataclass
class ScriptedRuntime:
    """Knows the models of `known`; each request plays `script`."""

    script: Sequence[Item] = HELLO
    answer: Callable[[ChatRequest | CompletionRequest], Sequence[Item]] | None = None
    """Instead of `script`: what to play for a request."""
    known: frozenset[str] = frozenset({"ai/tiny"})
    on_load: Callable[[IsCancelled], None] = lambda _: None
    requests: list[ChatRequest | CompletionRequest | EmbeddingRequest | RerankRequest] = field(
        default_factory=list
    )
    keep_alives: list[float | None] = field(default_factory=list)
    loads: list[tuple[str, ModelMode]] = field(default_factory=list)
    unloads: list[list[str] | None] = field(default_factory=list)
    n_spares: int = 0
    forced: list[bool] = field(default_factory=list)
    statuses: list[RunnerStatus] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    streams: list[ScriptedStream] = field(default_factory=list)
    started: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    embeds: threading.Event = field(default_factory=threading.Event)
    embed_cancelled: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.embeds.set()

    def stream(
        self, request: ChatRequest | CompletionRequest, keep_alive_s: float | None
    ) -> ScriptedStream:
        self.requests.append(request)
        self.keep_alives.append(keep_alive_s)
        script = self.script if self.answer is None else self.answer(request)
        stream = ScriptedStream(script)
        self.streams.append(stream)
        self.started.release()
        return stream

    def ensure_ready(
        self,
        model_text: str,
        *,
        mode: ModelMode = ModelMode.COMPLETION,
        keep_alive_s: float | None = None,
        deadline_s: float | None = None,
        is_cancelled: IsCancelled = never_cancelled,
    ) -> ScriptedRunner:
        if model_text not in self.known:
            raise ModelNotFoundError(reference=model_text)
        self.on_load(is_cancelled)
        self.loads.append((model_text, mode))
        return ScriptedRunner(self, model_text, mode)

    def running(self) -> list[RunnerStatus]:
        return self.statuses

    def unload(self, models: Sequence[str] | None = None, *, only_idle: bool = True) -> int:
        self.unloads.append(None if models is None else list(models))
        self.forced.append(not only_idle)
        return len(self.statuses)

    def log_paths(self) -> list[Path]:
        return self.logs

    def adopt(self) -> int:
        return 0

    def keep_spare(self) -> None:
        self.n_spares += 1

    def close(self, deadline_s: float | None = None) -> None:
        self.closed.set()
