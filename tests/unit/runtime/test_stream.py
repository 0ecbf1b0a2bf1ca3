"""runtime.link and runtime.stream: the server's end of a worker connection."""

import socket
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from support.scripted_peer import HANG_UP, WAIT, WELCOME, ScriptedPeer, entry_of
from support.waits import until

from pyrunner.errors import (
    InvariantError,
    PyrunnerError,
    QueueFullError,
    RequestCancelledError,
    ShuttingDownError,
    TemplateError,
    WorkerCrashedError,
    WorkerProtocolError,
)
from pyrunner.runtime.link import ask, dial
from pyrunner.runtime.local import LocalRunner, Ready
from pyrunner.runtime.runner import never_cancelled
from pyrunner.runtime.stream import OpenStreams, WorkerStream
from pyrunner.types import (
    CompletionRequest,
    EmbeddingResult,
    FinishEvent,
    FinishReason,
    TextEvent,
    Timings,
    Usage,
)
from pyrunner.wire.frames import (
    Complete,
    Control,
    Delta,
    Done,
    Failed,
    Hello,
    Mismatch,
    Progress,
    Status,
    Vectors,
)

FINISH = FinishEvent(
    reason=FinishReason.STOP,
    usage=Usage(prompt_tokens=1, completion_tokens=2),
    timings=Timings(queue_s=0.0, prompt_s=0.0, decode_s=0.0),
)
A, B = TextEvent(text="a"), TextEvent(text="b")
LONG = Complete(request=CompletionRequest(prompt="x" * 4 * 1024 * 1024))
"""More than a socket holds."""
CRASH = WorkerCrashedError(reference="x", how="SIGKILL")
STATUS = Status(
    pid=1,
    is_loaded=True,
    is_unloading=False,
    n_running=0,
    n_waiting=0,
    idle_s=1.0,
    keep_alive_s=2.0,
)


def _failed(error: PyrunnerError) -> Failed:
    return Failed(code=error.code, facts=error.facts)


def _stream(peer: ScriptedPeer, streams: OpenStreams | None = None) -> WorkerStream:
    link = dial(peer.entry, Control())
    assert link is not None
    streams = streams or OpenStreams()
    made = WorkerStream(link, lambda: CRASH, streams.remove)
    streams.add(made)
    return made


def test_stream_yields_every_event_and_ends_with_the_finish(tmp_path):
    lines = (WELCOME, Progress(fraction=0.5), Delta(events=(A, B)), Done(finish=FINISH))
    with ScriptedPeer(tmp_path, *lines) as peer, _stream(peer) as stream:
        assert list(stream) == [A, B, FINISH]
        assert stream.is_finished
        assert stream.poll(0.0) is None


def test_poll_nothing_yet_is_none(tmp_path):
    with ScriptedPeer(tmp_path, WELCOME, WAIT) as peer, _stream(peer) as stream:
        assert stream.poll(0.0) is None
        assert stream.poll(0.01) is None
        assert not stream.is_finished


def test_stream_peer_hangs_up_raises_how_it_ended_after_what_came(tmp_path):
    lines = (WELCOME, Delta(events=(A,)), HANG_UP)
    with ScriptedPeer(tmp_path, *lines) as peer, _stream(peer) as stream:
        assert stream.poll(5.0) == A
        with pytest.raises(WorkerCrashedError, match="SIGKILL"):
            stream.poll(5.0)
        assert stream.is_finished


def test_stream_failed_frame_raises_the_error_it_describes(tmp_path):
    lines = (WELCOME, _failed(TemplateError(problem="no")))
    with (
        ScriptedPeer(tmp_path, *lines) as peer,
        _stream(peer) as stream,
        pytest.raises(TemplateError, match="no"),
    ):
        list(stream)


def test_stream_failed_frame_of_an_unknown_code_is_a_bug(tmp_path):
    lines = (WELCOME, Failed(code="nobody_knows", facts={}))
    with (
        ScriptedPeer(tmp_path, *lines) as peer,
        _stream(peer) as stream,
        pytest.raises(InvariantError),
    ):
        list(stream)


@pytest.mark.parametrize(
    "line",
    [b"\xff\xff\xff\xff", b"\x01\x00\x00\x00\xc1", STATUS],
    ids=["length that lies", "no frame", "frame that does not belong here"],
)
def test_stream_nonsense_is_a_protocol_error(tmp_path, line):
    with (
        ScriptedPeer(tmp_path, WELCOME, line, WAIT) as peer,
        _stream(peer) as stream,
        pytest.raises(WorkerProtocolError),
    ):
        list(stream)


def test_close_wakes_a_reader_in_another_thread(tmp_path):
    with ScriptedPeer(tmp_path, WELCOME, WAIT) as peer:
        stream = _stream(peer)
        found: list[object] = []
        reader = threading.Thread(target=found.extend, args=(stream,))
        reader.start()
        until(reader.is_alive)
        stream.close()
        reader.join(5.0)
        assert not reader.is_alive()
        assert found == []


def test_vectors_are_waited_for(tmp_path):
    result = EmbeddingResult(vectors=(b"1234",), n_embd=1, n_tokens=1)
    lines = (WELCOME, Progress(fraction=0.1), Vectors(result=result))
    with ScriptedPeer(tmp_path, *lines) as peer, _stream(peer) as stream:
        assert stream.vectors(never_cancelled) == result


def test_vectors_nobody_wants_any_more_hang_up(tmp_path):
    with ScriptedPeer(tmp_path, WELCOME, WAIT) as peer, _stream(peer) as stream:
        with pytest.raises(RequestCancelledError):
            stream.vectors(lambda: True)
        assert stream.is_finished


def test_drain_ends_what_is_open_with_the_refusal(tmp_path):
    streams = OpenStreams()
    with ScriptedPeer(tmp_path, WELCOME, WAIT) as peer, _stream(peer, streams) as stream:
        streams.refuse(ShuttingDownError())
        streams.drain(0.0)
        with pytest.raises(ShuttingDownError):
            list(stream)
    with pytest.raises(ShuttingDownError):
        streams.check_open()


def test_dial_says_hello_and_the_request(tmp_path):
    with ScriptedPeer(tmp_path, WELCOME, HANG_UP) as peer:
        link = dial(peer.entry, Control(wait_ready=True))
        assert link is not None
        link.close()
    hello, control = peer.heard
    assert isinstance(hello, Hello)
    assert hello.config_hash == "0" * 16
    assert control == Control(wait_ready=True)


@pytest.mark.parametrize(
    "line",
    [HANG_UP, Mismatch(version=0, config_hash=""), _failed(ShuttingDownError(what="worker"))],
    ids=["hangs up", "mismatch", "draining"],
)
def test_dial_worker_that_takes_nothing_is_none(tmp_path, line):
    with ScriptedPeer(tmp_path, line) as peer:
        assert dial(peer.entry, Control()) is None


def test_dial_no_socket_is_none(tmp_path):
    with ScriptedPeer(tmp_path, HANG_UP) as peer:
        dial(peer.entry, Control())
    (tmp_path / "w.sock").unlink()
    assert dial(peer.entry, Control()) is None


def test_dial_refusal_of_the_request_is_raised(tmp_path):
    lines = (_failed(QueueFullError(limit=1, what="x")),)
    with ScriptedPeer(tmp_path, *lines) as peer, pytest.raises(QueueFullError):
        dial(peer.entry, Control())


def test_dial_worker_that_says_nothing_times_out(tmp_path):
    with ScriptedPeer(tmp_path, WAIT) as peer, pytest.raises(TimeoutError):
        dial(peer.entry, Control(), timeout_s=0.05)


def test_dial_gives_up_when_told(tmp_path):
    def give_up() -> None:
        raise RequestCancelledError(during="test")

    with ScriptedPeer(tmp_path, WAIT) as peer, pytest.raises(RequestCancelledError):
        dial(peer.entry, Control(), check=give_up)


def test_dial_worker_that_does_not_read_gives_up_when_told(tmp_path):
    def give_up() -> None:
        raise RequestCancelledError(during="test")

    with ScriptedPeer(tmp_path, WAIT) as peer, pytest.raises(RequestCancelledError):
        dial(peer.entry, LONG, check=give_up)


def test_dial_refusal_that_came_before_the_end_is_read(tmp_path):
    lines = (_failed(QueueFullError(limit=1, what="x")), HANG_UP)
    with ScriptedPeer(tmp_path, *lines) as peer, pytest.raises(QueueFullError):
        dial(peer.entry, LONG)


def test_dial_worker_whose_backlog_is_full_is_not_gone(tmp_path):
    path = str(tmp_path / "w.sock")
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as waiting:
        listener.bind(path)
        listener.listen(0)
        _fill_backlog(path, waiting)
        entry = entry_of(path)
        with pytest.raises(TimeoutError):
            dial(entry, Control())
        assert ask(entry, Control()) is None


def _fill_backlog(path: str, waiting: ExitStack) -> None:
    while True:
        each = waiting.enter_context(socket.socket(socket.AF_UNIX))
        each.settimeout(0.0)
        try:
            each.connect(path)
        except BlockingIOError:
            return


def test_ask_worker_that_is_full_is_none(tmp_path):
    with ScriptedPeer(tmp_path, _failed(QueueFullError(limit=1, what="x"))) as peer:
        assert ask(peer.entry, Control()) is None


def test_runner_that_waits_for_its_worker_gives_up_when_told(tmp_path):
    def give_up() -> None:
        raise RequestCancelledError(during="test")

    def renew(_: str) -> Ready:
        raise AssertionError

    unread: Any = None
    with ScriptedPeer(tmp_path, WAIT) as peer:
        ready = Ready(peer.entry, unread)
        runner = LocalRunner(unread, ready, renew, OpenStreams(), give_up)
        with pytest.raises(RequestCancelledError):
            runner.complete(CompletionRequest(prompt="x"))


def test_runner_that_meets_nothing_but_leaving_workers_says_to_try_again(tmp_path):
    unread: Any = None
    gone = Ready(entry_of(str(tmp_path / "gone")), unread)
    runner = LocalRunner(unread, gone, lambda _: gone, OpenStreams(), lambda: None)
    with pytest.raises(ShuttingDownError, match="worker"):
        runner.complete(CompletionRequest(prompt="x"))


def test_ask_gets_the_status(tmp_path):
    with ScriptedPeer(tmp_path, WELCOME, STATUS) as peer:
        assert ask(peer.entry, Control()) == STATUS


def test_ask_worker_that_does_not_answer_is_none(tmp_path):
    with ScriptedPeer(tmp_path, WELCOME, WAIT) as peer:
        assert ask(peer.entry, Control(), timeout_s=0.05) is None
