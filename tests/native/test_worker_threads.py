"""The threads of a worker around the real engine, in one process, so that sanitizers see them all.

Prompts are rendered in one thread, computed in the next, and read in this one, which cancels in
between and passes on what native code logs.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from support.model_cases import DEMO
from support.waits import until
from unit.worker.rig import HASH, RecordingPeer, chat, launch

from pyrunner.config import EngineConfig
from pyrunner.types import CompletionRequest, EmbeddingRequest, Limits, OutputFormat, OutputKind
from pyrunner.wire.frames import (
    PROTOCOL_VERSION,
    Complete,
    Delta,
    Done,
    Embed,
    Failed,
    FromWorker,
    Hello,
    RequestFrame,
    Vectors,
)
from pyrunner.worker.engine_thread import EngineThread
from pyrunner.worker.messages import Mailbox
from pyrunner.worker.native import NativeBackend
from pyrunner.worker.prompt_thread import PromptThread
from pyrunner.worker.service import Service

pytestmark = [pytest.mark.native, pytest.mark.model]

CONFIG = EngineConfig(n_ctx=1024, n_lanes=2, n_batch=128, n_threads=2)
N_REQUESTS = 40


@dataclass
class _Worker:
    """What the process is made of, without its sockets; the test's thread is the I/O thread."""

    backend: NativeBackend = field(default_factory=NativeBackend)
    mailbox: Mailbox = field(default_factory=Mailbox)

    def __post_init__(self) -> None:
        given = launch(
            weight_paths=(str(DEMO.file()),), engine=CONFIG, max_queue=N_REQUESTS, model_id="demo"
        )
        self.engine = EngineThread(self.backend, given, self.mailbox, rest_s=0.0)
        self.preparer = PromptThread(self.mailbox, given.reference)
        self.service = Service(given, self.engine, self.preparer, time.monotonic)

    def ask(self, frame: RequestFrame) -> RecordingPeer:
        peer = RecordingPeer()
        self.service.on_opened(peer)
        self.service.on_frame(peer, Hello(version=PROTOCOL_VERSION, config_hash=HASH))
        self.service.on_frame(peer, frame)
        return peer

    def listen(self) -> None:
        """What the I/O loop does each time it wakes."""
        for report in self.mailbox.take():
            self.service.on_report(report)
        self.backend.pass_on_log()

    def listen_until(self, is_so: Callable[[], bool]) -> None:
        def look() -> bool:
            self.listen()
            return is_so()

        until(look, patience_s=120.0)


@pytest.fixture
def worker() -> Iterator[_Worker]:
    made = _Worker()
    made.engine.start()
    made.preparer.start()
    yield made
    assert made.engine.stop(30.0)
    assert made.preparer.stop(30.0)
    made.mailbox.close()


def _draw(rng: random.Random) -> RequestFrame:
    text = " ".join(rng.choices(["docker", "image", "is", "a", "run"], k=rng.randrange(1, 250)))
    match rng.randrange(4):
        case 0:
            return Embed(request=EmbeddingRequest(inputs=(text, "again", text)))
        case 1:
            output = OutputFormat(kind=OutputKind.REGEX, text="(yes|no)( [a-z]{1,8}){0,5}")
            limits = Limits(max_tokens=20)
            return Complete(request=CompletionRequest(prompt=text, limits=limits, output=output))
        case _:
            return chat(text, max_tokens=rng.choice((1, 30)))


def test_cancels_from_another_thread_leave_all_others_answered(worker):
    rng = random.Random(1)
    staying, n_cancelled = [], 0
    for _ in range(N_REQUESTS):
        peer = worker.ask(_draw(rng))
        worker.listen()
        if rng.random() < 0.6:
            staying.append(peer)
            continue
        n_cancelled += 1
        if rng.random() < 0.6:  # in the middle of its answer; else before anything is computed
            worker.listen_until(lambda: bool(peer.frames[1:]))  # noqa: B023  # called here
        worker.service.on_closed(peer)
    worker.listen_until(lambda: all(_is_last(each.last) for each in staying))
    worker.listen_until(lambda: worker.service.status().n_running == 0)
    assert n_cancelled
    assert not worker.service.is_busy
    assert any(isinstance(frame, Delta) for peer in staying for frame in peer.frames)
    worker.engine._loop.check()


def _is_last(frame: FromWorker) -> bool:
    assert not isinstance(frame, Failed), frame
    return isinstance(frame, Done | Vectors)
