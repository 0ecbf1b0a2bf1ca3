"""worker.answers: logprobs through a parser, by hand."""

import pytest
from support.scripted_runtime import FINISH
from unit.worker.rig import RecordingPeer, chat

from pyrunner.engine.request import Finished, GenerationRequest, Text, Traced
from pyrunner.types import (
    Event,
    FinishEvent,
    ReasoningEvent,
    TextEvent,
    TokenChance,
    TokenLogprobs,
)
from pyrunner.wire.frames import Delta
from pyrunner.worker.answers import Answers
from pyrunner.worker.messages import Prepared, Submit
from pyrunner.worker.ports import Piece


class ThoughtParser:
    """Everything up to a bar is reasoning; what follows it is content, one feed late."""

    def __init__(self) -> None:
        self._is_thinking = True
        self._held = ""

    def feed(self, text: str) -> tuple[Piece, ...]:
        if self._is_thinking:
            thought, bar, self._held = text.partition("|")
            self._is_thinking = not bar
            return (ReasoningEvent(text=thought),) if thought else ()
        ready, self._held = self._held, text
        return (TextEvent(text=ready),) if ready else ()

    def finish(self, finish: FinishEvent) -> tuple[tuple[Piece, ...], FinishEvent]:
        return (TextEvent(text=self._held),), finish


class PlainParser:
    """All of it is content."""

    def feed(self, text: str) -> tuple[Piece, ...]:
        return (TextEvent(text=text),)

    def finish(self, finish: FinishEvent) -> tuple[tuple[Piece, ...], FinishEvent]:
        return (), finish


class _Nobody:
    def order(self, order: object) -> None:
        pass

    def cancel(self, request_id: int) -> None:
        pass

    def prepare(self, request_id: int, frame: object, prompts: object, is_wanted: object) -> None:
        pass


@pytest.fixture
def peer() -> RecordingPeer:
    return RecordingPeer()


def _said(peer: RecordingPeer, *tokens: str, has_logprobs: bool) -> list[Event]:
    nobody = _Nobody()
    answers = Answers(nobody, nobody, lambda: None)
    answers.start(peer, chat("hello"), None)
    request = GenerationRequest(request_id=1, tokens=[1])
    answers.prepared(Prepared(1, Submit(request), ThoughtParser()))
    for text in tokens:
        traced = Traced(_logprobs(text), text) if has_logprobs else None
        answers.stepped([Text(request_id=1, text=text, token=1, traced=traced)])
    last = Traced(_logprobs("!"), "!") if has_logprobs else None
    answers.stepped([Finished(request_id=1, text="!", token=1, finish=FINISH, traced=last)])
    return [event for frame in peer.frames if isinstance(frame, Delta) for event in frame.events]


def _logprobs(text: str) -> TokenLogprobs:
    return TokenLogprobs(TokenChance(1, text.encode(), -0.5), ())


def test_logprobs_are_on_the_content_they_belong_to(peer):
    assert _said(peer, "Hm", "m|", "Y", "es", has_logprobs=True) == [
        ReasoningEvent(text="Hm"),
        ReasoningEvent(text="m"),
        TextEvent(text="Y", logprobs=(_logprobs("Y"),)),
        TextEvent(text="es", logprobs=(_logprobs("es"),)),
        TextEvent(text="!", logprobs=(_logprobs("!"),)),
    ]


def test_without_logprobs_events_are_as_the_parser_made_them(peer):
    said = _said(peer, "Hm|", "Yes", has_logprobs=False)
    assert said == [ReasoningEvent(text="Hm"), TextEvent(text="Yes"), TextEvent(text="!")]


def test_tokens_of_one_step_are_one_piece_with_the_logprobs_of_all(peer):
    nobody = _Nobody()
    answers = Answers(nobody, nobody, lambda: None)
    answers.start(peer, chat("hello"), None)
    request = GenerationRequest(request_id=1, tokens=[1])
    answers.prepared(Prepared(1, Submit(request), PlainParser()))
    texts = ("Y", "es", ".")
    traced = [Traced(_logprobs(text), text) for text in texts]
    pairs = zip(texts, traced, strict=True)
    answers.stepped([Text(request_id=1, text=text, token=1, traced=each) for text, each in pairs])
    [delta] = peer.frames
    logprobs = tuple(_logprobs(text) for text in texts)
    assert delta == Delta(events=(TextEvent(text="Yes.", logprobs=logprobs),))
