"""worker.prompt_thread: long texts are read beside the I/O thread, not in it."""

import threading

import pytest
from msgspec.structs import replace
from support.scripted_engine import ScriptedPrompts, ScriptedRendered
from support.waits import until
from unit.worker.rig import Rig, chat

from pyrunner.types import ChatRequest
from pyrunner.worker.messages import Mailbox, Prepared, Report, Unprepared
from pyrunner.worker.prompt_thread import PromptThread


class _Held(ScriptedPrompts):
    """Rendering takes until it is allowed to end."""

    def __init__(self) -> None:
        self.may_end = threading.Event()

    def render(self, request: ChatRequest) -> ScriptedRendered:
        assert self.may_end.wait(10.0)
        return super().render(request)


class _Buggy(ScriptedPrompts):
    def render(self, _request: ChatRequest) -> ScriptedRendered:
        raise KeyError("a bug")


class _Counting(ScriptedPrompts):
    def __init__(self) -> None:
        self.n_rendered = 0

    def render(self, request: ChatRequest) -> ScriptedRendered:
        self.n_rendered += 1
        return super().render(request)


def _always() -> bool:
    return True


@pytest.fixture
def mailbox():
    made = Mailbox()
    yield made
    made.close()


@pytest.fixture
def rig():
    made = Rig()
    made.load()
    yield made
    made.mailbox.close()


def _report(mailbox: Mailbox) -> Report:
    found: list[Report] = []

    def has_come() -> bool:
        found.extend(mailbox.take())
        return bool(found)

    until(has_come)
    return found[0]


def test_long_rendering_does_not_hold_the_caller(mailbox):
    prompts = _Held()
    thread = PromptThread(mailbox, "ai/x")
    thread.start()
    thread.prepare(1, chat("hello"), prompts, _always)
    assert list(mailbox.take()) == []
    prompts.may_end.set()
    assert isinstance(_report(mailbox), Prepared)
    assert thread.stop(5.0)


def test_bug_in_rendering_fails_the_request_and_not_the_thread(mailbox):
    thread = PromptThread(mailbox, "ai/x")
    thread.prepare(1, chat("hello"), _Buggy(), _always)
    thread.prepare(2, chat("hello"), ScriptedPrompts(), _always)
    thread.work_off()
    failed, prepared = mailbox.take()
    assert isinstance(failed, Unprepared)
    assert failed.error.code == "worker_crashed"
    assert isinstance(prepared, Prepared)


def test_queued_prompt_that_nobody_wants_any_more_is_not_rendered(rig):
    prompts = _Counting()
    prepare_later = rig.preparer.work_off
    rig.preparer.work_off = lambda: None
    rig.service._loaded = replace(rig.service._loaded, prompts=prompts)
    gone, stays = rig.connect(chat("gone")), rig.connect(chat("stays"))
    rig.service.on_closed(gone)
    prepare_later()
    assert prompts.n_rendered == 1
    rig.deliver()
    rig.step()
    assert stays.text == "w0 "


def test_client_gone_before_its_prompt_is_ready_is_never_submitted(rig):
    prepare_later = rig.preparer.work_off
    rig.preparer.work_off = lambda: None
    peer = rig.connect(chat("hello", max_tokens=None))
    rig.service.on_closed(peer)
    prepare_later()
    rig.deliver()
    other = rig.connect(chat("other"))
    prepare_later()
    rig.deliver()
    rig.step()
    assert rig.loop.n_running == 1
    assert other.text == "w0 "
