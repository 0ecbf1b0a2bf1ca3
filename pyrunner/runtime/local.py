"""The runner that is a worker process on this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pyrunner.errors import ModelLoadingError, ShuttingDownError, WorkerCrashedError
from pyrunner.models.store import StoredModel
from pyrunner.runtime.ledger import Entry
from pyrunner.runtime.link import Link, dial
from pyrunner.runtime.processes import children, how_it_ended
from pyrunner.runtime.runner import EventStream, IsCancelled, never_cancelled
from pyrunner.runtime.stream import OpenStreams, WorkerStream
from pyrunner.types import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    EmbeddingResult,
    ModelInfo,
    ModelMode,
    RerankRequest,
    RerankResult,
)
from pyrunner.wire.frames import Chat, Complete, Embed, RequestFrame, Rerank

MAX_ATTEMPTS = 4
"""How often one request may meet a worker that leaves just then."""

_REAP_S = 2.0
"""From a closed connection to the exit status of the process that held it."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker that has loaded its model."""

    entry: Entry
    info: ModelInfo


def crash_of(entry: Entry) -> WorkerCrashedError:
    """Say how the worker that has just hung up ended, as far as we can know."""
    returncode = children.returncode(entry.pid, entry.started, _REAP_S)
    if returncode is None:
        how = "the connection broke" if entry.is_alive() else "it was another server's process"
    else:
        how = how_it_ended(returncode)
    return WorkerCrashedError(reference=entry.reference, how=how)


class LocalRunner:
    """See `runner.Runner`. Any thread.

    Args:
        model: As found in the store.
        ready: The worker as it was found ready.
        renew: Makes the model ready again, given the socket that is no use any more.
        streams: Where its open streams are counted.
        check: Called while a worker lets us wait; raises to give up.
    """

    def __init__(
        self,
        model: StoredModel,
        ready: Ready,
        renew: Callable[[str], Ready],
        streams: OpenStreams,
        check: Callable[[], None],
    ) -> None:
        self._model = model
        self._ready = ready
        self._renew = renew
        self._streams = streams
        self._check = check

    @property
    def reference(self) -> str:
        """Canonical name, or the model's id if it has none."""
        return self._model.tags[0] if self._model.tags else self._model.id

    @property
    def mode(self) -> ModelMode:
        """What it was loaded for."""
        return self._ready.entry.mode

    @property
    def info(self) -> ModelInfo:
        """What the loaded model says about itself."""
        return self._ready.info

    @property
    def model(self) -> StoredModel:
        """As the store knew it when it was asked for."""
        return self._model

    def chat(self, request: ChatRequest, keep_alive_s: float | None = None) -> EventStream:
        """Continue a conversation."""
        return self._open(Chat(request=request, keep_alive_s=keep_alive_s))

    def complete(
        self, request: CompletionRequest, keep_alive_s: float | None = None
    ) -> EventStream:
        """Continue a raw prompt."""
        return self._open(Complete(request=request, keep_alive_s=keep_alive_s))

    def embed(
        self,
        request: EmbeddingRequest,
        keep_alive_s: float | None = None,
        is_cancelled: IsCancelled = never_cancelled,
    ) -> EmbeddingResult:
        """Turn each input into a vector, waiting for it."""
        with self._open(Embed(request=request, keep_alive_s=keep_alive_s)) as stream:
            return stream.vectors(is_cancelled)

    def rerank(
        self,
        request: RerankRequest,
        keep_alive_s: float | None = None,
        is_cancelled: IsCancelled = never_cancelled,
    ) -> RerankResult:
        """Score each document, waiting for it."""
        with self._open(Rerank(request=request, keep_alive_s=keep_alive_s)) as stream:
            return stream.scores(is_cancelled)

    def _open(self, frame: RequestFrame) -> WorkerStream:
        for _ in range(MAX_ATTEMPTS):
            entry = self._ready.entry
            link = self._dial(entry, frame)
            if link is not None:
                return self._stream(link, entry)
            self._ready = self._renew(entry.socket)
        # All of them left in good order: clients that keep a model for one request alone.
        raise ShuttingDownError(what="worker")

    def _dial(self, entry: Entry, frame: RequestFrame) -> Link | None:
        try:
            return dial(entry, frame, check=self._check)
        except TimeoutError as error:
            raise ModelLoadingError(reference=self.reference) from error

    def _stream(self, link: Link, entry: Entry) -> WorkerStream:
        stream = WorkerStream(link, partial(crash_of, entry), self._streams.remove)
        self._streams.add(stream)
        return stream
