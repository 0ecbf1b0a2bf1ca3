"""worker.service: frames in, frames out, by hand."""

import math

import pytest
from support.scripted_engine import INFO, ScriptedBackend, raising
from unit.worker.rig import HASH, RecordingPeer, Rig, chat

from pyrunner.errors import ModelLoadError, WorkerProtocolError, from_facts
from pyrunner.types import (
    CompletionRequest,
    EmbeddingRequest,
    EmbeddingResult,
    FinishReason,
    Limits,
    RerankRequest,
)
from pyrunner.wire.frames import (
    PROTOCOL_VERSION,
    Complete,
    Control,
    Done,
    Embed,
    Failed,
    Hello,
    Mismatch,
    Progress,
    Rerank,
    Scores,
    Status,
    Vectors,
    Welcome,
)
from pyrunner.worker.life import LINGER_S


@pytest.fixture
def rig():
    made = Rig()
    yield made
    made.mailbox.close()


@pytest.fixture
def loaded(rig):
    rig.keeper = rig.connect(is_keeper=True)
    rig.load()
    return rig


def _failure(peer: RecordingPeer) -> str:
    assert isinstance(peer.last, Failed)
    return type(from_facts(peer.last.code, peer.last.facts)).__name__


def test_chat_loaded_streams_deltas_and_done(loaded):
    peer = loaded.connect(chat("hello"))
    loaded.step()
    loaded.step()
    assert isinstance(peer.frames[0], Welcome)
    assert peer.text == "w0 w1 "
    assert peer.last.finish.reason is FinishReason.LENGTH
    assert peer.last.finish.usage.prompt_tokens == 5
    assert peer.is_closed


def test_chat_template_stop_strings_join_the_requests_own(loaded):
    loaded.connect(chat("hello"))
    loaded.step()
    (running,) = loaded.loop._running.values()
    assert running.request.limits.stop == ("<end>",)


def test_complete_token_prompt_goes_in_as_it_is(loaded):
    request = CompletionRequest(prompt=(1, 2, 3), limits=Limits(max_tokens=1))
    peer = loaded.connect(Complete(request=request))
    loaded.step()
    assert peer.last.finish.usage.prompt_tokens == 3


def test_embed_many_inputs_go_in_groups_with_streams_in_between():
    rig = Rig()
    rig.connect(is_keeper=True)
    rig.load()
    stream = rig.connect(chat("hello", max_tokens=100))
    peer = rig.connect(Embed(request=EmbeddingRequest(inputs=("x" * 300,) * 4, normalize=True)))
    for _ in range(4):
        rig.step()
    assert peer.last.result.vectors == (bytes([300 % 256, 1] * 4),) * 4
    assert peer.last.result.n_tokens == 1200
    assert stream.text == "w0 w1 w2 w3 "
    rig.mailbox.close()


def test_documents_are_scored_in_their_order_and_equal_ones_alike(loaded):
    documents = ("one", "a longer one", "one")
    peer = loaded.connect(Rerank(request=RerankRequest(query="q", documents=documents)))
    loaded.step()
    assert isinstance(peer.last, Scores)
    first, second, third = peer.last.result.scores
    assert first == third != second
    assert peer.last.result.n_tokens == 4 + 13 + 4


def test_embed_refused_input_fails_only_that_request(loaded):
    bad = loaded.connect(Embed(request=EmbeddingRequest(inputs=("refuse",))))
    good = loaded.connect(Embed(request=EmbeddingRequest(inputs=("fine",))))
    loaded.step()
    loaded.step()
    assert _failure(bad) == "InvalidParameterError"
    assert isinstance(good.last, Vectors)


def test_request_while_loading_waits_with_progress(rig):
    rig.backend._on_load = lambda on_progress: on_progress(0.5)
    rig.connect(is_keeper=True)
    peer = rig.connect(chat("hello", max_tokens=1))
    assert [type(each) for each in peer.frames] == [Welcome]
    rig.load()
    assert peer.last == Progress(fraction=0.5)
    rig.step()
    assert isinstance(peer.last, Done)


def test_wait_ready_answers_when_loaded(rig):
    waiting = rig.connect(Control(wait_ready=True))
    assert not waiting.is_closed
    rig.load()
    assert waiting.last.info == INFO
    assert waiting.last.is_loaded
    assert waiting.is_closed


def test_load_failed_tells_everyone_and_exits_nonzero():
    rig = Rig(ScriptedBackend(on_load=raising(ModelLoadError(path="p", problem="q"))))
    peers = [rig.connect(Control(wait_ready=True)), rig.connect(chat("hello"))]
    rig.load()
    rig.connect(is_keeper=True)
    peers += [
        rig.connect(Control(wait_ready=True, keep_alive_s=math.inf)),
        rig.connect(chat("late")),
    ]
    assert [_failure(each) for each in peers] == ["ModelLoadError"] * 4
    assert not rig.service.turn()
    rig.clock.advance(LINGER_S)
    assert rig.service.turn()
    assert rig.service.exit_status == 3
    rig.mailbox.close()


@pytest.mark.parametrize(
    ("text", "error"),
    [("refuse", "InvalidParameterError"), ("bang", "TemplateError")],
    ids=["engine refuses", "template refuses"],
)
def test_error_in_one_request_leaves_the_others(loaded, text, error):
    good = loaded.connect(chat("hello"))
    bad = loaded.connect(chat(text))
    loaded.step()
    loaded.step()
    assert _failure(bad) == error
    assert good.text == "w0 w1 "


def test_decode_error_fails_every_stream_and_exits_nonzero(loaded):
    peers = [loaded.connect(chat("hello")), loaded.connect(chat("broken"))]
    loaded.engine.work()
    loaded.deliver()
    assert [_failure(each) for each in peers] == ["DecodeError"] * 2
    assert loaded.service.turn()
    assert loaded.service.exit_status == 4


def test_closed_connection_cancels_and_interrupts(loaded):
    peer = loaded.connect(chat("hello", max_tokens=None))
    loaded.step()
    loaded.service.on_closed(peer)
    loaded.step()
    assert loaded.loop.n_running == 0
    assert loaded.loop.n_interrupts == 1
    assert loaded.service.status().n_waiting == 0


def test_closed_connection_while_loading_is_never_submitted(rig):
    peer = rig.connect(chat("hello"))
    rig.service.on_closed(peer)
    rig.load()
    assert not rig.loop.has_work


def test_consumer_that_does_not_read_is_cancelled_alone(loaded):
    slow, good = loaded.connect(chat("a", None)), loaded.connect(chat("b", 3))
    slow.reads = False
    for _ in range(3):
        loaded.step()
    assert slow.is_dropped
    assert good.text == "w0 w1 w2 "
    assert loaded.loop.n_running == 0


def test_max_queue_one_more_is_refused(loaded):
    for _ in range(8):
        loaded.connect(chat("hello"))
    peer = loaded.connect(chat("hello"))
    assert _failure(peer) == "QueueFullError"
    assert peer.last.facts["limit"] == 8


def test_keep_alive_zero_exits_after_the_request(loaded):
    loaded.connect(chat("hello", max_tokens=1, keep_alive_s=0.0))
    loaded.step()
    assert loaded.service.turn()
    assert loaded.service.exit_status == 0


def test_keep_alive_of_a_request_replaces_the_setting(loaded):
    loaded.connect(chat("hello", max_tokens=1, keep_alive_s=7.0))
    loaded.step()
    loaded.clock.advance(6.9)
    assert not loaded.service.turn()
    loaded.clock.advance(0.1)
    assert loaded.service.turn()


@pytest.mark.parametrize("keep_alive_s", [-1.0, math.nan], ids=["negative", "nan"])
def test_keep_alive_of_nonsense_is_a_protocol_error(loaded, keep_alive_s):
    with pytest.raises(WorkerProtocolError):
        loaded.connect(chat("hello", keep_alive_s=keep_alive_s))


def test_status_does_not_restart_the_idle_clock(loaded):
    loaded.clock.advance(200.0)
    peer = loaded.connect(Control())
    assert isinstance(peer.last, Status)
    assert peer.last.idle_s == 200.0
    loaded.clock.advance(100.0)
    assert loaded.service.turn()


def test_unload_if_idle_with_request_in_flight_is_declined(loaded):
    loaded.connect(chat("hello"))
    peer = loaded.connect(Control(is_unload=True, if_idle=True))
    assert not peer.last.is_unloading
    assert peer.is_closed
    assert not loaded.service.turn()


def test_unload_if_idle_leaves_and_keeps_the_connection_to_its_end(loaded):
    peer = loaded.connect(Control(is_unload=True, if_idle=True))
    assert peer.last.is_unloading
    assert not peer.is_closed
    assert loaded.service.turn()


def test_unload_lets_requests_finish(loaded):
    stream = loaded.connect(chat("hello"))
    loaded.connect(Control(is_unload=True))
    assert not loaded.service.turn()
    loaded.step()
    loaded.step()
    assert isinstance(stream.last, Done)
    assert loaded.service.turn()


def test_drain_ends_requests_that_take_longer(loaded):
    stream = loaded.connect(chat("hello", max_tokens=None))
    loaded.service.request_drain("SIGTERM")
    assert not loaded.service.turn()
    loaded.clock.advance(20.0)
    assert loaded.service.turn()
    assert _failure(stream) == "ShuttingDownError"


def test_drain_refuses_new_requests(loaded):
    greeted = loaded.connect()
    loaded.service.drain("test")
    loaded.service.on_frame(greeted, chat("hello"))
    assert _failure(greeted) == "ShuttingDownError"
    assert _failure(loaded.connect()) == "ShuttingDownError"


def test_drain_while_loading_gives_up(rig):
    peers = [rig.connect(Control(wait_ready=True)), rig.connect(chat("hello"))]
    rig.service.drain("test")
    assert [_failure(each) for each in peers] == ["ShuttingDownError"] * 2
    assert rig.service.turn()


def test_last_keeper_gone_leaves_after_the_grace(loaded):
    loaded.service.on_closed(loaded.keeper)
    loaded.clock.advance(9.9)
    assert not loaded.service.turn()
    loaded.clock.advance(0.1)
    assert loaded.service.turn()


@pytest.mark.parametrize(
    "hello",
    [
        Hello(version=PROTOCOL_VERSION + 1, config_hash=HASH),
        Hello(version=PROTOCOL_VERSION, config_hash="f" * 16),
    ],
    ids=["version", "configuration"],
)
def test_mismatch_is_said_and_the_worker_drains(loaded, hello):
    peer = RecordingPeer()
    loaded.service.on_opened(peer)
    loaded.service.on_frame(peer, hello)
    assert peer.last == Mismatch(version=PROTOCOL_VERSION, config_hash=HASH)
    assert peer.is_closed
    assert loaded.service.turn()


def test_frames_out_of_order_are_protocol_errors(loaded):
    stranger = RecordingPeer()
    loaded.service.on_opened(stranger)
    with pytest.raises(WorkerProtocolError, match="has not said hello"):
        loaded.service.on_frame(stranger, Control())
    with pytest.raises(WorkerProtocolError, match="holds on to the worker"):
        loaded.service.on_frame(loaded.keeper, Control())
    served = loaded.connect(chat("hello"))
    with pytest.raises(WorkerProtocolError, match="waits for an answer"):
        loaded.service.on_frame(served, chat("again"))


def test_two_requests_of_one_step_do_not_mix(loaded):
    peers = [loaded.connect(chat("hello", n)) for n in (1, 2, 3)]
    for _ in range(3):
        loaded.step()
    assert [each.text for each in peers] == ["w0 ", "w0 w1 ", "w0 w1 w2 "]


def test_embedding_result_of_an_unknown_request_is_ignored(loaded):
    result = EmbeddingResult(vectors=(), n_embd=2, n_tokens=0)
    loaded.service._answers.embedded(99, result)
    assert loaded.service.status().n_waiting == 0
