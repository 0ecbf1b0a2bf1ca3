"""The requests in flight, from admission to their last frame."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pyrunner import log
from pyrunner.engine.ranking import ranked
from pyrunner.engine.request import Errored, Finished, StepEvent
from pyrunner.engine.token_trace import TokenTrace
from pyrunner.errors import PyrunnerError, WorkerProtocolError
from pyrunner.types import EmbeddingResult
from pyrunner.wire.frames import (
    Delta,
    Done,
    Failed,
    FromWorker,
    RequestFrame,
    Rerank,
    Scores,
    Vectors,
)
from pyrunner.worker.messages import Order, Prepared
from pyrunner.worker.ports import IsWanted, Parser, Piece, Prompts

_logger = log.get("worker")


class Peer(Protocol):
    """The other end of one connection, as the worker's logic sees it; hashed by identity."""

    def send(self, frame: FromWorker) -> bool:
        """Send without waiting. False: it is gone, or has stopped reading; drop it.

        Raises:
            WorkerProtocolError: The frame is too long; nothing was sent.
        """
        ...

    def close(self) -> None:
        """Close when everything sent has left."""
        ...

    def drop(self) -> None:
        """Close now, whatever is still on its way."""
        ...


class EnginePort(Protocol):
    """The engine thread as the I/O thread sees it."""

    def order(self, order: Order) -> None:
        """Queue an order."""
        ...

    def cancel(self, request_id: int) -> None:
        """End a request soon."""
        ...


class PromptPort(Protocol):
    """The prompt thread as the I/O thread sees it."""

    def prepare(
        self, request_id: int, frame: RequestFrame, prompts: Prompts, is_wanted: IsWanted
    ) -> None:
        """Queue a request to be rendered and tokenised, if it is wanted when its turn comes."""
        ...


@dataclass(slots=True)
class Answer:
    """One request and whom to answer."""

    request_id: int
    peer: Peer
    frame: RequestFrame
    parser: Parser | None = None
    """None until the engine has the request."""
    trace: TokenTrace = field(default_factory=TokenTrace)


class Answers:
    """All of them. `on_end` is called once for each that leaves, however it ended."""

    def __init__(
        self, engine: EnginePort, preparer: PromptPort, on_end: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._preparer = preparer
        self._on_end = on_end
        self._by_id: dict[int, Answer] = {}
        self._by_peer: dict[Peer, Answer] = {}
        self._n_started = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def peers(self) -> Iterator[Peer]:
        """Whoever waits for an answer."""
        return iter(list(self._by_peer))

    def start(self, peer: Peer, frame: RequestFrame, prompts: Prompts | None) -> None:
        """Admit a request; without `prompts` it waits for `submit_all`."""
        self._n_started += 1
        answer = Answer(self._n_started, peer, frame)
        self._by_id[answer.request_id] = answer
        self._by_peer[peer] = answer
        if prompts is not None:
            self._prepare(answer, prompts)

    def submit_all(self, prompts: Prompts) -> None:
        """The model is loaded: hand over what waited for it, in the order it came."""
        for answer in self._by_id.values():
            self._prepare(answer, prompts)

    def prepared(self, report: Prepared) -> None:
        """A prompt is ready: the engine gets it, unless nobody waits for the answer any more."""
        answer = self._by_id.get(report.request_id)
        if answer is not None:
            answer.parser = report.parser
            self._engine.order(report.order)

    def unprepared(self, request_id: int, error: PyrunnerError) -> None:
        """A prompt cannot be made."""
        answer = self._by_id.get(request_id)
        if answer is not None:
            self._end(answer, failed(error))

    def cancel(self, peer: Peer) -> None:
        """Whoever asked went away. Peers without a request are ignored."""
        answer = self._by_peer.get(peer)
        if answer is not None:
            self._stop(answer)
            self._forget(answer)

    def fail_all(self, error: PyrunnerError) -> None:
        """Answer everything with one error."""
        for answer in list(self._by_id.values()):
            self._stop(answer)
            self._end(answer, failed(error))

    def stepped(self, events: Sequence[StepEvent]) -> None:
        """Pass on what one step brought: at most one `Delta` per request."""
        by_request: dict[int, list[StepEvent]] = {}
        for event in events:
            by_request.setdefault(event.request_id, []).append(event)
        for request_id, found in by_request.items():
            answer = self._by_id.get(request_id)
            if answer is not None:  # the others were cancelled in the meantime
                try:
                    self._take(answer, found)
                except PyrunnerError as error:
                    self._stop(answer)
                    self._end(answer, failed(error))

    def embedded(self, request_id: int, result: EmbeddingResult | PyrunnerError) -> None:
        """Pass on vectors, or the scores that they are of a model that ranks."""
        answer = self._by_id.get(request_id)
        if answer is not None:
            if isinstance(result, PyrunnerError):
                self._end(answer, failed(result))
            elif isinstance(answer.frame, Rerank):
                self._end(answer, Scores(result=ranked(result)))
            else:
                self._end(answer, Vectors(result=result))

    def _prepare(self, answer: Answer, prompts: Prompts) -> None:
        request_id = answer.request_id
        # Asked by the prompt thread: what is gone does not come back.
        self._preparer.prepare(request_id, answer.frame, prompts, lambda: request_id in self._by_id)

    def _take(self, answer: Answer, events: Sequence[StepEvent]) -> None:
        """What one step brought for one request: several tokens where guesses were right."""
        parser, trace, last = answer.parser, answer.trace, events[-1]
        if parser is None:
            raise AssertionError("an event before the submission")
        if isinstance(last, Errored):
            self._end(answer, failed(last.error))
            return
        said = [event for event in events if not isinstance(event, Errored)]
        pieces: list[Piece] = []
        if any(event.traced for event in said):
            # One after the other: what a parser leaves out is where the trace looks for it.
            for event in said:
                trace.add(event.traced)
                pieces += trace.attach(parser.feed(event.text)) if event.text else ()
        elif text := "".join(event.text for event in said):
            # PERF(worker): one piece for all of them. Who reads it pays for pieces, not for text.
            pieces += trace.attach(parser.feed(text))
        if isinstance(last, Finished):
            rest, finish = parser.finish(last.finish)
            if self._deliver(answer, [*pieces, *trace.attach(rest)]):
                self._end(answer, Done(finish=finish))
        else:
            self._deliver(answer, pieces)

    def _deliver(self, answer: Answer, pieces: Sequence[Piece]) -> bool:
        if not pieces or answer.peer.send(Delta(events=tuple(pieces))):
            return True
        _logger.warning("request %d: its consumer does not read; cancelled", answer.request_id)
        answer.peer.drop()
        self._stop(answer)
        self._forget(answer)
        return False

    def _stop(self, answer: Answer) -> None:
        if answer.parser is not None:
            self._engine.cancel(answer.request_id)

    def _end(self, answer: Answer, frame: FromWorker) -> None:
        try:
            answer.peer.send(frame)
        except WorkerProtocolError as error:  # vectors for which no frame is long enough
            answer.peer.send(failed(error))
        answer.peer.close()
        self._forget(answer)

    def _forget(self, answer: Answer) -> None:
        del self._by_id[answer.request_id]
        del self._by_peer[answer.peer]
        self._on_end()


def failed(error: PyrunnerError) -> Failed:
    """The frame of an error."""
    return Failed(code=error.code, facts=error.facts)
