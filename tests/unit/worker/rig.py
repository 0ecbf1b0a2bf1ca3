"""A worker without threads, sockets and time: the test turns the crank."""

from typing import Any

from support.clock import FakeClock
from support.scripted_engine import ScriptedBackend, ScriptedLoop

from pyrunner.config import EngineConfig
from pyrunner.types import ChatMessage, ChatRequest, Limits, ModelMode, ToolCallEvent
from pyrunner.wire.frames import (
    PROTOCOL_VERSION,
    Chat,
    Delta,
    FromServer,
    FromWorker,
    Hello,
)
from pyrunner.wire.launch import Launch
from pyrunner.worker.engine_thread import EngineThread
from pyrunner.worker.messages import Mailbox
from pyrunner.worker.prompt_thread import PromptThread
from pyrunner.worker.service import Service

HASH = "0123456789abcdef"


def launch(**given: Any) -> Launch:
    usual: dict[str, Any] = {
        "reference": "docker.io/ai/scripted:latest",
        "model_id": "sha256:0",
        "mode": ModelMode.COMPLETION,
        "weight_paths": ("/nowhere",),
        "engine": EngineConfig(n_ctx=4096),
        "keep_alive_s": 300.0,
        "orphan_grace_s": 10.0,
        "drain_s": 20.0,
        "max_queue": 8,
        "config_hash": HASH,
        "socket_path": "/nowhere",
        "server_socket": "/nowhere",
        "lock_path": "/nowhere",
        "lease_path": "/nowhere",
    }
    return Launch(**(usual | given))


def chat(text: str, max_tokens: int | None = 2, **rest: Any) -> Chat:
    messages = (ChatMessage(role="user", content=text),)
    limits = Limits(max_tokens=max_tokens)
    return Chat(request=ChatRequest(messages=messages, limits=limits), **rest)


class RecordingPeer:
    """A consumer that writes down what it gets, and stops reading when told to."""

    def __init__(self) -> None:
        self.frames: list[FromWorker] = []
        self.is_closed = False
        self.is_dropped = False
        self.reads = True

    def send(self, frame: FromWorker) -> bool:
        if self.reads and not self.is_closed:
            self.frames.append(frame)
        return self.reads

    def close(self) -> None:
        self.is_closed = True

    def drop(self) -> None:
        self.is_closed = self.is_dropped = True

    @property
    def last(self) -> Any:
        return self.frames[-1]

    @property
    def text(self) -> str:
        events = [event for each in self.frames if isinstance(each, Delta) for event in each.events]
        return "".join(each.text for each in events if not isinstance(each, ToolCallEvent))


class Rig:
    def __init__(self, backend: ScriptedBackend | None = None, **given: Any) -> None:
        self.clock = FakeClock()
        self.launch = launch(**given)
        self.mailbox = Mailbox()
        self.backend = backend or ScriptedBackend()
        self.engine = EngineThread(self.backend, self.launch, self.mailbox)
        self.preparer = PromptThread(self.mailbox, self.launch.reference)
        self.service = Service(self.launch, self.engine, self.preparer, self.clock)

    @property
    def loop(self) -> ScriptedLoop:
        assert self.backend.loop is not None
        return self.backend.loop

    def load(self) -> None:
        self.engine.load()
        self.deliver()
        self.prepare()

    def deliver(self) -> None:
        for report in self.mailbox.take():
            self.service.on_report(report)

    def prepare(self) -> None:
        """Let the prompt thread's work happen here."""
        self.preparer.work_off()
        self.deliver()

    def step(self) -> None:
        self.engine.turn()
        self.deliver()

    def connect(self, *frames: FromServer, is_keeper: bool = False) -> RecordingPeer:
        peer = RecordingPeer()
        self.service.on_opened(peer)
        hello = Hello(version=PROTOCOL_VERSION, config_hash=HASH, is_keeper=is_keeper)
        for frame in (hello, *frames):
            self.service.on_frame(peer, frame)
        self.prepare()
        return peer
