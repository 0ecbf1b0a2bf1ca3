"""Orders for the engine: what may share cells with what."""

from collections.abc import Sequence

import pytest
from support.scripted_engine import SCALDING, ScriptedPrompts

from pyrunner.engine.constraint import Constraint
from pyrunner.engine.request import GenerationRequest
from pyrunner.errors import InvalidParameterError
from pyrunner.types import (
    CacheUse,
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    OutputFormat,
    OutputKind,
    SamplingParams,
)
from pyrunner.wire.frames import Chat, Complete
from pyrunner.worker.messages import Submit
from pyrunner.worker.prepare import prepare

TOO_HOT = SamplingParams(temperature=SCALDING)
FORMAT = OutputFormat(kind=OutputKind.REGEX, text="a", param="regex")


def test_logprobs_that_are_asked_for_reach_the_engine():
    request = CompletionRequest(prompt=(1, 2), n_logprobs=3)
    order = prepare(Complete(request=request), 1, ScriptedPrompts()).order
    assert isinstance(order, Submit)
    assert order.request.n_logprobs == 3


def test_the_prediction_of_a_chat_reaches_the_engine_as_tokens():
    asked = ChatRequest(messages=(ChatMessage(role="user", content="hi"),), prediction="ok")
    order = prepare(Chat(request=asked), 1, ScriptedPrompts()).order
    assert isinstance(order, Submit)
    assert order.request.prediction == [ord("o"), ord("k")]


def test_logprobs_of_a_chat_reach_the_engine():
    asked = ChatRequest(messages=(ChatMessage(role="user", content="hi"),), n_logprobs=0)
    order = prepare(Chat(request=asked), 1, ScriptedPrompts()).order
    assert isinstance(order, Submit)
    assert order.request.n_logprobs == 0


@pytest.mark.parametrize(
    "frame",
    [
        Complete(request=CompletionRequest(prompt=(1, 2), sampling=TOO_HOT)),
        Chat(
            request=ChatRequest(
                messages=(ChatMessage(role="user", content="hi"),), sampling=TOO_HOT
            )
        ),
    ],
    ids=["completion", "chat"],
)
def test_sampling_is_prepared_before_the_engine_sees_the_request(frame):
    with pytest.raises(InvalidParameterError, match="temperature"):
        prepare(frame, 1, ScriptedPrompts())


class _Anything:
    mask = memoryview(b"")
    is_complete = False

    def forced(self) -> list[int]:
        return []

    def masks_behind(self, draft: Sequence[int]) -> list[memoryview]:
        raise AssertionError(draft)

    def accept(self, token: int) -> None:
        raise AssertionError(token)


class _Compiling(ScriptedPrompts):
    def __init__(self) -> None:
        self.made: list[tuple[OutputFormat, Constraint]] = []

    def constrain(self, output: OutputFormat) -> Constraint:
        self.made.append((output, _Anything()))
        return self.made[-1][1]


@pytest.mark.parametrize(
    "frame",
    [
        Complete(request=CompletionRequest(prompt=(1, 2), output=FORMAT)),
        Chat(
            request=ChatRequest(messages=(ChatMessage(role="user", content="hi"),), output=FORMAT)
        ),
    ],
)
def test_every_answer_with_a_format_has_a_constraint_of_its_own(frame):
    prompts = _Compiling()
    orders = [prepare(frame, request_id, prompts).order for request_id in (1, 2)]
    made = [order.request.constraint for order in orders if isinstance(order, Submit)]
    assert prompts.made == [(FORMAT, made[0]), (FORMAT, made[1])]
    assert made[0] is not made[1]


def test_format_that_cannot_be_followed_is_refused_before_the_engine():
    request = CompletionRequest(prompt=(1, 2), output=FORMAT)
    with pytest.raises(InvalidParameterError, match="'regex' cannot be followed"):
        prepare(Complete(request=request), 1, ScriptedPrompts())


def _request(cache: CacheUse, request_id: int) -> GenerationRequest:
    request = CompletionRequest(prompt=(1, 2), cache=cache)
    order = prepare(Complete(request=request), request_id, ScriptedPrompts()).order
    assert isinstance(order, Submit)
    return order.request


def _salt(cache: CacheUse, request_id: int) -> str:
    return _request(cache, request_id).salt


def test_requests_of_one_salt_share_and_of_two_do_not():
    salts = {_salt(CacheUse(salt=salt), 7) for salt in ("", "a", "b", "#7")}
    assert len(salts) == 4
    assert _salt(CacheUse(salt="a"), 1) == _salt(CacheUse(salt="a"), 2)


@pytest.mark.parametrize("salt", ["", "a"])
def test_request_that_is_not_shared_meets_nobody(salt):
    alone = _salt(CacheUse(salt=salt, is_shared=False), 7)
    assert alone not in {_salt(CacheUse(salt=each), 7) for each in ("", "a", "#7", "7")}
    assert alone != _salt(CacheUse(salt=salt, is_shared=False), 8)
    assert not _request(CacheUse(salt=salt, is_shared=False), 7).keeps_cells
    assert _request(CacheUse(salt=salt), 7).keeps_cells
