"""What a loaded model looks like from above: an interface, so that it can live anywhere.

`Runner` is "a loaded model that takes requests and gives streams of events". The first
implementation is a worker process on this machine (`pyrunner.runtime.local`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from pyrunner.types import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    EmbeddingResult,
    Event,
    ModelInfo,
    ModelMode,
    RerankRequest,
    RerankResult,
)

IsCancelled = Callable[[], bool]
"""Asked every `POLL_S` while something waits; True gives up with `RequestCancelledError`."""

POLL_S = 0.025
"""How often a wait looks at `IsCancelled` and at its deadline."""


def never_cancelled() -> bool:
    """Wait for as long as the deadline allows."""
    return False


class LoadableModel(Protocol):
    """The part of `models.store.StoredModel` that loading needs."""

    @property
    def id(self) -> str:
        """Digest of the manifest, ``sha256:...``."""
        ...

    @property
    def references(self) -> Sequence[object]:
        """Tags; ``str()`` of one is its canonical form."""
        ...

    @property
    def weight_paths(self) -> tuple[Path, ...]:
        """GGUF blobs in shard order."""
        ...

    @property
    def mmproj_path(self) -> Path | None:
        """Projector of a multimodal model."""
        ...

    @property
    def chat_template_path(self) -> Path | None:
        """Template that replaces the one inside the model file."""
        ...


class EventStream(Protocol):
    """The answer to one request, on its way. Leaving the ``with`` block closes it.

    One thread reads; any thread may call `close`. Reading raises the leaves of
    `pyrunner.errors`: what the worker reported, or `WorkerCrashedError` when it is gone.
    """

    @property
    def is_finished(self) -> bool:
        """Whether the `FinishEvent` has been read, or the stream was closed."""
        ...

    def poll(self, timeout_s: float) -> Event | None:
        """The next event; None when none came in `timeout_s`, or the stream is finished."""
        ...

    def __iter__(self) -> Iterator[Event]:
        """Every event until and including the `FinishEvent`, waiting for each."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def close(self) -> None:
        """Cancel the request, unless it is finished. Calling it again does nothing."""
        ...


class Runner(Protocol):
    """A model that was ready when `Runtime.ensure_ready` returned it. Any thread.

    It holds nothing and needs no closing: should the worker have left since (evicted, crashed,
    `keep_alive` over), the next call loads the model again, within the same deadline.
    """

    @property
    def reference(self) -> str:
        """Canonical name, ``docker.io/ai/smollm2:latest``, or the model's id if it has none."""
        ...

    @property
    def mode(self) -> ModelMode:
        """What it was loaded for."""
        ...

    @property
    def info(self) -> ModelInfo:
        """What the loaded model says about itself."""
        ...

    @property
    def model(self) -> LoadableModel:
        """As the store knew it when it was asked for."""
        ...

    def chat(self, request: ChatRequest, keep_alive_s: float | None = None) -> EventStream:
        """Continue a conversation.

        Args:
            request: Validated by the dialect.
            keep_alive_s: The worker's new idle time, 0 or more seconds; None leaves it.

        Raises:
            BusyError: The queue is full, or the model had to be loaded again and could not.
        """
        ...

    def complete(
        self, request: CompletionRequest, keep_alive_s: float | None = None
    ) -> EventStream:
        """Continue a raw prompt; otherwise like `chat`."""
        ...

    def embed(
        self,
        request: EmbeddingRequest,
        keep_alive_s: float | None = None,
        is_cancelled: IsCancelled = never_cancelled,
    ) -> EmbeddingResult:
        """Turn each input into a vector, waiting for it.

        Raises:
            RequestCancelledError: `is_cancelled` said so; the worker stops working on it.
        """
        ...

    def rerank(
        self,
        request: RerankRequest,
        keep_alive_s: float | None = None,
        is_cancelled: IsCancelled = never_cancelled,
    ) -> RerankResult:
        """Score each document; otherwise like `embed`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerStatus:
    """One line of ``ps``: a snapshot, old as soon as it is made."""

    reference: str
    """Of the first request that loaded it."""
    model_id: str
    mode: ModelMode
    pid: int
    size_bytes: int
    """What the budget counts: file size plus KV cache."""
    is_loading: bool
    n_in_flight: int
    """Requests running and waiting, of all servers."""
    last_used: float
    """Unix time in seconds of the last end of a request; now, while one is in flight."""
    keep_alive_s: float
    """Idle time after which it leaves; inf never."""
    expires_in_s: float | None
    """Until it leaves if nothing happens; None while it is busy, loading or kept forever."""
    info: ModelInfo | None = None
    """What the loaded model says about itself; None before, and when it does not answer."""
    is_answering: bool = True
    """Whether it told its state; when it did not, only what the ledger knows is true."""
