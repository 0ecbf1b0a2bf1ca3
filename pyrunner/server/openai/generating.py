"""One generation over HTTP: admit, load, start, and answer streamed or whole."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, islice

import falcon
import msgspec

from pyrunner.runtime.runner import EventStream, Runner
from pyrunner.server import sse
from pyrunner.server.admission import Admission
from pyrunner.server.openai.rendering import Rendering
from pyrunner.server.ports import Models
from pyrunner.server.waiting import ClientWatch, follow
from pyrunner.types import Event, FinishEvent, ModelMode

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for an answer that nobody waits for; only a log ever shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a client asked for, ready to be started."""

    model: str
    start: Callable[[Runner], EventStream]
    rendering: Rendering
    is_streamed: bool
    include_usage: bool


class Generator:
    """Answers generations. Any thread; keeps nothing between them."""

    def __init__(self, runtime: Models, admission: Admission) -> None:
        self._runtime = runtime
        self._admission = admission

    def preload(
        self, req: falcon.Request, model: str, mode: ModelMode, keep_alive_s: float | None
    ) -> None:
        """Load a model and run nothing.

        Raises:
            PyrunnerError: It cannot be loaded, or nobody waits for it.
        """
        watch = ClientWatch(req.env, self._admission)
        with self._admission.streams.admit():
            self._runtime.ensure_ready(
                model, mode=mode, keep_alive_s=keep_alive_s, is_cancelled=watch.is_cancelled
            )

    def answer(self, req: falcon.Request, resp: falcon.Response, asked: Generation) -> None:
        """Run a generation and put the answer into `resp`.

        Nothing is sent before the first event: until then an error has a status of its own.

        Raises:
            PyrunnerError: No place, no model, or a failure before the first event.
        """
        watch = ClientWatch(req.env, self._admission)
        with ExitStack() as stack:
            stack.enter_context(self._admission.streams.admit())
            # The idle time goes with the request: set any earlier, a zero would unload the model
            # between here and there.
            runner = self._runtime.ensure_ready(asked.model, is_cancelled=watch.is_cancelled)
            events = follow(stack.enter_context(closing(asked.start(runner))), watch)
            if asked.is_streamed:
                first = list(islice(events, 1))
                if not first:
                    resp.status = CLIENT_CLOSED_REQUEST
                    return
                resp.content_type = "text/event-stream; charset=utf-8"
                resp.set_header("Cache-Control", "no-cache")
                # Proxies such as nginx would collect the events into large pieces.
                resp.set_header("X-Accel-Buffering", "no")
                body = _chunks(chain(first, events), asked)
                resp.stream = sse.EventBody(body, stack.pop_all().close)
                return
            _answer_whole(resp, events, asked)


def _answer_whole(resp: falcon.Response, events: Iterator[Event], asked: Generation) -> None:
    document = asked.rendering.whole(events)
    if document is None:
        resp.status = CLIENT_CLOSED_REQUEST
        return
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(document)


def _chunks(events: Iterator[Event], asked: Generation) -> Iterator[bytes]:
    for document in asked.rendering.opening():
        yield sse.event(document)
    for event in events:
        if isinstance(event, FinishEvent):
            closing_chunks = asked.rendering.closing(event, include_usage=asked.include_usage)
            yield b"".join(sse.event(document) for document in closing_chunks) + sse.DONE
        else:
            yield sse.event(asked.rendering.chunk(event))
