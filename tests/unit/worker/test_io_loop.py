"""worker.io_loop: the worker on real sockets, turned by hand."""

import socket

import pytest
from support.scripted_engine import ScriptedBackend
from unit.worker.rig import HASH, Rig, chat

from pyrunner.types import EmbeddingRequest, EmbeddingResult
from pyrunner.wire.channel import decoder_of_worker_frames, encode
from pyrunner.wire.frames import (
    MAX_FRAME_BYTES,
    PROTOCOL_VERSION,
    Control,
    Delta,
    Done,
    Embed,
    Failed,
    FromServer,
    FromWorker,
    Hello,
    Status,
    Welcome,
)
from pyrunner.worker.connection import MAX_BUFFERED_BYTES
from pyrunner.worker.io_loop import HELLO_S, IoLoop
from pyrunner.worker.messages import Embedded


class Client:
    """A server's end of a connection."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.settimeout(0.0)
        self.frames: list[FromWorker] = []
        self.is_at_end = False
        self._decoder = decoder_of_worker_frames()

    def send(self, *frames: FromServer) -> None:
        self.sock.sendall(b"".join(map(encode, frames)))

    def hello(self, *frames: FromServer, is_keeper: bool = False) -> None:
        self.send(Hello(version=PROTOCOL_VERSION, config_hash=HASH, is_keeper=is_keeper), *frames)

    def read(self) -> list[FromWorker]:
        while not self.is_at_end:
            try:
                data = self.sock.recv(1 << 16)
            except BlockingIOError:
                break
            self.is_at_end = not data
            self.frames += self._decoder.feed(data)
        return self.frames


class Served(Rig):
    """The rig with its I/O loop on a real listener."""

    def __init__(self, path: str) -> None:
        super().__init__(ScriptedBackend())
        self.path = path
        self.n_house = 0
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(16)
        self.io = IoLoop(listener, self.service, self.mailbox, self.clock, self._keep_house)
        self.clients: list[Client] = []
        self.keeper = self.client()
        self.keeper.hello(is_keeper=True)

    def _keep_house(self) -> None:
        self.n_house += 1

    def client(self) -> Client:
        made = Client(self.path)
        self.clients.append(made)
        return made

    def turn(self, n_turns: int = 4) -> bool:
        is_over = False
        for _ in range(n_turns):
            self.preparer.work_off()
            is_over = self.io.turn(0.0)
        return is_over

    def step(self) -> None:
        self.engine.turn()
        self.turn()

    def close(self) -> None:
        for each in self.clients:
            each.sock.close()
        self.io.close()
        self.mailbox.close()


@pytest.fixture
def served(tmp_path):
    made = Served(str(tmp_path / "w.sock"))
    made.engine.load()
    made.turn()
    yield made
    made.close()


def test_chat_over_a_socket_streams_and_closes(served):
    client = served.client()
    client.hello(chat("hello"))
    served.turn()
    served.step()
    served.step()
    assert [type(each) for each in client.read()] == [Welcome, Delta, Delta, Done]
    assert client.is_at_end


def test_client_gone_frees_its_lane_with_the_next_step(served):
    client = served.client()
    client.hello(chat("hello", max_tokens=None))
    served.turn()
    served.step()
    assert served.loop.n_running == 1
    client.sock.close()
    served.turn()
    served.step()
    assert served.loop.n_running == 0


def test_client_gone_before_reading_its_answer_harms_nobody(served):
    client, other = served.client(), served.client()
    client.hello(chat("hello", max_tokens=3))
    other.hello(chat("hello", max_tokens=3))
    served.turn()
    client.sock.close()
    for _ in range(3):
        served.step()
    assert isinstance(other.read()[-1], Done)


def test_client_that_does_not_read_is_cut_off_at_the_limit(served):
    client = served.client()
    client.hello(chat("hello", max_tokens=None))
    served.turn()
    n_steps = 0
    while served.loop.n_running or n_steps == 0:
        # Longer words make it quicker; the limit counts bytes.
        for each in served.loop._running.values():
            each.n_written = 10**4_000
        served.step()
        n_steps += 1
        assert n_steps < 10 * MAX_BUFFERED_BYTES / 4_000
    assert n_steps * 4_000 > MAX_BUFFERED_BYTES


@pytest.mark.parametrize(
    "data",
    [b"\xff" * 64, b"\x00\x00\x00\x00", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["ones", "empty frame", "http"],
)
def test_bytes_that_are_no_frame_close_only_that_connection(served, data):
    client, other = served.client(), served.client()
    client.sock.sendall(data)
    other.hello(Control())
    served.turn()
    client.read()
    assert client.is_at_end
    assert isinstance(other.read()[-1], Status)


def test_connection_that_says_nothing_is_closed(served):
    client = served.client()
    served.turn()
    served.clock.advance(HELLO_S + 0.1)
    served.turn()
    client.read()
    assert client.is_at_end


def test_request_that_never_comes_is_not_waited_for(served):
    client = served.client()
    client.hello()
    served.turn()
    served.clock.advance(HELLO_S + 0.1)
    served.turn()
    client.read()
    assert client.is_at_end


def test_keeper_that_says_nothing_more_stays(served):
    client = served.client()
    client.hello(is_keeper=True)
    served.turn()
    served.clock.advance(HELLO_S + 0.1)
    served.turn()
    client.read()
    assert not client.is_at_end


def test_answer_too_long_for_a_frame_fails_alone(served):
    client = served.client()
    client.hello(Embed(request=EmbeddingRequest(inputs=("x",))))
    served.turn()
    huge = EmbeddingResult(vectors=(bytes(MAX_FRAME_BYTES),), n_embd=1, n_tokens=1)
    served.mailbox.post(Embedded(1, huge))
    served.turn()
    assert client.read()[-1].code == "worker_protocol"


def test_frame_that_never_ends_is_closed_as_well(served):
    client = served.client()
    client.sock.sendall(b"\x10\x00\x00")
    served.turn()
    served.clock.advance(HELLO_S + 0.1)
    served.turn()
    client.read()
    assert client.is_at_end


def test_too_many_connections_one_more_is_refused(served):
    served.io.max_connections = 1
    client = served.client()
    served.turn()
    assert isinstance(client.read()[0], Failed)
    assert client.is_at_end


def test_drain_removes_the_socket_so_that_nobody_finds_it(served, tmp_path):
    client = served.client()
    client.hello(Control(is_unload=True))
    assert served.turn()
    assert not (tmp_path / "w.sock").exists()
    assert client.read()[-1].is_unloading
    assert not client.is_at_end


def test_run_ends_when_the_last_keeper_left_and_the_grace_is_over(served):
    served.keeper.sock.close()
    served.turn()
    served.clock.advance(10.0)
    served.io.run()
    assert served.service.exit_status == 0


def test_housekeeping_once_a_second(served):
    before = served.n_house
    served.turn(10)
    served.clock.advance(1.0)
    served.turn(10)
    assert served.n_house == before + 1
