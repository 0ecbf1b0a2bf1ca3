"""What a worker does with the frames of its peers and the reports of its engine.

No socket, no thread, no clock of its own: the I/O loop calls in, tests do the same. Everything
here belongs to the I/O thread.
"""

import math
import os
from collections.abc import Callable
from enum import Enum

from pyrunner import log
from pyrunner.errors import PyrunnerError, QueueFullError, ShuttingDownError, WorkerProtocolError
from pyrunner.wire.frames import (
    PROTOCOL_VERSION,
    Control,
    FromServer,
    Hello,
    Mismatch,
    Progress,
    RequestFrame,
    Status,
    Welcome,
)
from pyrunner.wire.launch import EXIT_BROKEN, EXIT_LOAD_FAILED, Launch
from pyrunner.worker.answers import Answers, EnginePort, Peer, PromptPort, failed
from pyrunner.worker.life import Life, Verdict
from pyrunner.worker.messages import (
    Broken,
    Embedded,
    Loaded,
    LoadFailed,
    Loading,
    Prepared,
    Report,
    Stepped,
    Unprepared,
)

_logger = log.get("worker")


class _Role(Enum):
    STRANGER = "has not said hello"
    GREETED = "owes its one request"
    KEEPER = "holds on to the worker"
    SERVED = "waits for an answer, or has it"


class Service:
    """The worker without its sockets."""

    def __init__(
        self,
        launch: Launch,
        engine: EnginePort,
        preparer: PromptPort,
        clock: Callable[[], float],
    ) -> None:
        self._launch = launch
        self._clock = clock
        self._life = Life(
            keep_alive_s=launch.keep_alive_s,
            orphan_grace_s=launch.orphan_grace_s,
            drain_s=launch.drain_s,
            now_s=clock(),
        )
        self._answers = Answers(engine, preparer, self._request_ended)
        self._roles: dict[Peer, _Role] = {}
        self._waiters: list[Peer] = []
        self._loaded: Loaded | None = None
        self._load_error: PyrunnerError | None = None
        self._drain_note: str | None = None
        self.exit_status = 0

    @property
    def is_draining(self) -> bool:
        """Whether new connections are to be refused."""
        return self._life.drain_reason is not None

    @property
    def is_busy(self) -> bool:
        """Whether the model loads or requests are in flight."""
        return self._life.is_loading or bool(self._answers)

    @property
    def is_orphan(self) -> bool:
        """Whether no server holds on to the worker."""
        return self._life.n_keepers == 0

    def due_s(self) -> float:
        """When to call `turn` at the latest, on the clock this was made with."""
        return self._life.due_s()

    def turn(self) -> bool:
        """Look at the clock. True: it is over, leave the process."""
        if self._drain_note is not None:
            self.drain(self._drain_note)
        verdict, reason = self._life.verdict(self._clock())
        if verdict is Verdict.DRAIN:
            self.drain(reason)
            verdict, _ = self._life.verdict(self._clock())
        if verdict is Verdict.EXIT:
            self._answers.fail_all(ShuttingDownError(what="worker"))
            return True
        return False

    def request_drain(self, reason: str) -> None:
        """Drain at the next turn. The only method that may interrupt another (signals)."""
        self._drain_note = reason

    def drain(self, reason: str) -> None:
        """Take no more requests; while the model still loads, give up on it."""
        if self.is_draining:
            return
        _logger.info("leaving: %s", reason)
        self._life.drain(reason, self._clock())
        if self._loaded is None:
            self._fail_waiters(ShuttingDownError(what="worker"))

    def on_opened(self, peer: Peer) -> None:
        """Somebody connected."""
        self._roles[peer] = _Role.STRANGER

    def on_closed(self, peer: Peer) -> None:
        """A connection is gone, whoever closed it: its request is cancelled."""
        if self._roles.pop(peer) is _Role.KEEPER:
            self._life.keeper_left(self._clock())
        if peer in self._waiters:
            self._waiters.remove(peer)
        self._answers.cancel(peer)

    def is_owing(self, peer: Peer) -> bool:
        """Whether a peer has yet to say what it wants."""
        return self._roles[peer] in (_Role.STRANGER, _Role.GREETED)

    def on_frame(self, peer: Peer, frame: FromServer) -> None:
        """Act on one frame.

        Raises:
            WorkerProtocolError: It does not belong here; close the connection.
        """
        role = self._roles[peer]
        if role is _Role.STRANGER and isinstance(frame, Hello):
            self._greet(peer, frame)
        elif role is _Role.GREETED and not isinstance(frame, Hello):
            self._roles[peer] = _Role.SERVED
            self._set_keep_alive(frame.keep_alive_s)
            if isinstance(frame, Control):
                self._control(peer, frame)
            else:
                self._admit(peer, frame)
        else:
            raise WorkerProtocolError(
                problem=f"{type(frame).__name__} from a peer that {role.value}"
            )

    def on_report(self, report: Report) -> None:
        """Act on what the engine thread says."""
        match report:
            case Loading(fraction):
                for peer in (*self._waiters, *self._answers.peers()):
                    peer.send(Progress(fraction=fraction))
            case Loaded():
                self._on_loaded(report)
            case Prepared():
                self._answers.prepared(report)
            case Unprepared(request_id, error):
                self._answers.unprepared(request_id, error)
            case Stepped(events):
                self._answers.stepped(events)
            case Embedded(request_id, result):
                self._answers.embedded(request_id, result)
            case LoadFailed(error):
                self.exit_status = EXIT_LOAD_FAILED
                self._load_error = error
                self._life.load_failed(self._clock())
                self._fail_waiters(error)
            case Broken(error):
                self.exit_status = EXIT_BROKEN
                self._life.drain(error.code, self._clock())
                self._answers.fail_all(error)

    def status(self) -> Status:
        """What `Control` is answered with."""
        n_running = 0 if self._loaded is None else self._loaded.loop.n_running
        return Status(
            pid=os.getpid(),
            is_loaded=self._loaded is not None,
            is_unloading=self.is_draining,
            n_running=n_running,
            n_waiting=max(0, len(self._answers) - n_running),
            idle_s=self._life.idle_s(self._clock()),
            keep_alive_s=self._life.keep_alive_s,
            info=None if self._loaded is None else self._loaded.loop.info,
        )

    def _greet(self, peer: Peer, hello: Hello) -> None:
        mine = (PROTOCOL_VERSION, self._launch.config_hash)
        if (hello.version, hello.config_hash) != mine:
            peer.send(Mismatch(version=mine[0], config_hash=mine[1]))
            peer.close()
            self.drain("a server wants the model in another version or configuration")
        elif self.is_draining:
            self._refuse(peer, ShuttingDownError(what="worker"))
        else:
            peer.send(Welcome(pid=os.getpid()))
            self._roles[peer] = _Role.KEEPER if hello.is_keeper else _Role.GREETED
            if hello.is_keeper:
                self._life.keeper_joined()

    def _admit(self, peer: Peer, frame: RequestFrame) -> None:
        limit = self._launch.max_queue
        if self._load_error is not None:
            self._refuse(peer, self._load_error)
        elif self.is_draining:
            self._refuse(peer, ShuttingDownError(what="worker"))
        elif len(self._answers) >= limit:
            self._refuse(peer, QueueFullError(limit=limit, what="places of this model's queue"))
        else:
            self._life.request_started(self._clock())
            self._answers.start(peer, frame, self._loaded.prompts if self._loaded else None)

    def _control(self, peer: Peer, frame: Control) -> None:
        if frame.is_unload:
            if not (frame.if_idle and self.is_busy):
                # The connection stays open: its end tells that the memory is back.
                self.drain("unloaded")
                peer.send(self.status())
                return
        elif frame.wait_ready and self._loaded is None:
            if self._load_error is not None:
                self._refuse(peer, self._load_error)
            elif self.is_draining:
                self._refuse(peer, ShuttingDownError(what="worker"))
            else:
                self._waiters.append(peer)
            return
        elif frame.wait_ready:
            self._life.told_ready(self._clock())
        peer.send(self.status())
        peer.close()

    def _on_loaded(self, loaded: Loaded) -> None:
        _logger.info("loaded: %s", loaded.loop.info.description)
        self._loaded = loaded
        self._life.loaded(self._clock())
        for peer in self._waiters:
            peer.send(self.status())
            peer.close()
        self._waiters.clear()
        self._answers.submit_all(loaded.prompts)

    def _fail_waiters(self, error: PyrunnerError) -> None:
        """The model will not come: answer those who wait for it."""
        self._answers.fail_all(error)
        for peer in self._waiters:
            self._refuse(peer, error)
        self._waiters.clear()

    def _refuse(self, peer: Peer, error: PyrunnerError) -> None:
        peer.send(failed(error))
        peer.close()

    def _request_ended(self) -> None:
        self._life.request_ended(self._clock())

    def _set_keep_alive(self, keep_alive_s: float | None) -> None:
        if keep_alive_s is None or self._load_error is not None:
            return
        if math.isnan(keep_alive_s) or keep_alive_s < 0:
            raise WorkerProtocolError(problem=f"keep_alive_s of {keep_alive_s}")
        self._life.keep_alive_s = keep_alive_s
