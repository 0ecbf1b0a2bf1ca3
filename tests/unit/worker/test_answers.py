"""worker.answers: logprobs through a parser, by hand."""

import pytest
from support.scripted_runtime import FINISH
from unit.worker.rig import RecordingPeer, chat

from pyrunner.engine.request import Errored, Finished, GenerationRequest, Text, Traced
from pyrunner.errors import OutOfMemoryError
from pyrunner.types import (
    Event,
    FinishEvent,
    ReasoningEvent,
    TextEvent,
    TokenChance,
    TokenLogprobs,
)
from pyrunner.wire.frames import Delta
from pyrunner.worker.answers import Answers, failed
from pyrunner.worker.messages import Prepared, Submit
from pyrunner.worker.ports import Parser, Piece


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
    answers = _answers(peer, ThoughtParser())
    for text in tokens:
        answers.stepped([_token(text, has_logprobs=has_logprobs)])
    last = Traced(_logprobs("!"), "!") if has_logprobs else None
    answers.stepped([Finished(request_id=1, text="!", token=1, finish=FINISH, traced=last)])
    return _events(peer)


def _said_at_once(
    peer: RecordingPeer, parser: Parser, *tokens: str, has_logprobs: bool
) -> list[Event]:
    answers = _answers(peer, parser)
    answers.stepped([_token(text, has_logprobs=has_logprobs) for text in tokens])
    assert len(peer.frames) == 1
    return _events(peer)


def _answers(peer: RecordingPeer, parser: Parser) -> Answers:
    nobody = _Nobody()
    answers = Answers(nobody, nobody, lambda: None)
    answers.start(peer, chat("hello"), None)
    answers.prepared(Prepared(1, Submit(GenerationRequest(request_id=1, tokens=[1])), parser))
    return answers


def _token(text: str, *, has_logprobs: bool) -> Text:
    traced = Traced(_logprobs(text), text) if has_logprobs else None
    return Text(request_id=1, text=text, token=1, traced=traced)


def _events(peer: RecordingPeer) -> list[Event]:
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


def test_tokens_of_one_step_are_one_piece(peer):
    assert _said_at_once(peer, PlainParser(), "Y", "es", ".", has_logprobs=False) == [
        TextEvent(text="Yes.")
    ]


def test_logprobs_of_tokens_of_one_step_are_on_the_content_they_belong_to(peer):
    said = _said_at_once(peer, ThoughtParser(), "ok|", "ok", "!", "?", has_logprobs=True)
    assert said == [
        ReasoningEvent(text="ok"),
        TextEvent(text="ok", logprobs=(_logprobs("ok"),)),
        TextEvent(text="!", logprobs=(_logprobs("!"),)),
    ]


def test_an_error_takes_the_place_of_what_its_step_had_said(peer):
    answers = _answers(peer, PlainParser())
    error = OutOfMemoryError(during="a test")
    answers.stepped([Text(request_id=1, text="Yes", token=1), Errored(request_id=1, error=error)])
    assert peer.frames == [failed(error)]
