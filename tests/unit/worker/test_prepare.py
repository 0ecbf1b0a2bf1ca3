"""Orders for the engine: what may share cells with what."""

import pytest
from support.scripted_engine import ScriptedPrompts

from pyrunner.types import CacheUse, ChatMessage, ChatRequest, CompletionRequest
from pyrunner.wire.frames import Chat, Complete
from pyrunner.worker.messages import Submit
from pyrunner.worker.prepare import prepare


def test_logprobs_that_are_asked_for_reach_the_engine():
    request = CompletionRequest(prompt=(1, 2), n_logprobs=3)
    order = prepare(Complete(request=request), 1, None).order  # type: ignore[arg-type]  # token ids need no prompts
    assert isinstance(order, Submit)
    assert order.request.n_logprobs == 3


def test_logprobs_of_a_chat_reach_the_engine():
    asked = ChatRequest(messages=(ChatMessage(role="user", content="hi"),), n_logprobs=0)
    order = prepare(Chat(request=asked), 1, ScriptedPrompts()).order
    assert isinstance(order, Submit)
    assert order.request.n_logprobs == 0


def _salt(cache: CacheUse, request_id: int) -> str:
    request = CompletionRequest(prompt=(1, 2), cache=cache)
    order = prepare(Complete(request=request), request_id, None).order  # type: ignore[arg-type]  # token ids need no prompts
    assert isinstance(order, Submit)
    return order.request.salt


def test_requests_of_one_salt_share_and_of_two_do_not():
    salts = {_salt(CacheUse(salt=salt), 7) for salt in ("", "a", "b", "#7")}
    assert len(salts) == 4
    assert _salt(CacheUse(salt="a"), 1) == _salt(CacheUse(salt="a"), 2)


@pytest.mark.parametrize("salt", ["", "a"])
def test_request_that_is_not_shared_meets_nobody(salt):
    alone = _salt(CacheUse(salt=salt, is_shared=False), 7)
    assert alone not in {_salt(CacheUse(salt=each), 7) for each in ("", "a", "#7", "7")}
    assert alone != _salt(CacheUse(salt=salt, is_shared=False), 8)
