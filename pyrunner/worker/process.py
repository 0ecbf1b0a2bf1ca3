"""The process: what it inherits, its signals, its three threads, and how it ends."""

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from pyrunner import log
from pyrunner.process_name import take_name
from pyrunner.wire.launch import (
    MAX_SAVE_S,
    Descriptors,
    Launch,
    decode_launch,
    receive_launch,
)
from pyrunner.wire.server_socket import remove_dead
from pyrunner.worker.engine_thread import EngineThread
from pyrunner.worker.io_loop import IoLoop
from pyrunner.worker.log_bound import bound_log
from pyrunner.worker.messages import Mailbox
from pyrunner.worker.ports import Backend
from pyrunner.worker.prompt_thread import PromptThread
from pyrunner.worker.service import Service

_logger = log.get("worker")

_SWITCH_INTERVAL_S = 0.0005
"""With the default of 5 ms a busy I/O thread makes the engine wait that long after each step."""

STOP_S = 2.0
"""How long the engine, and then the prompt thread, may take to notice that it is over; after that
the process ends without them. Twice this and `MAX_SAVE_S` are less than `EXIT_S`."""


def run(backend: Backend) -> int:
    """Be a worker: wait for the launch parameters on standard input and serve until it is over.

    The calling thread becomes the I/O thread. Returns the exit status.
    """
    _die_first()
    told = _wait_for_launch(backend)
    if told is None:
        return 0  # a spare that nobody needs any more
    data, descriptors = told
    _adopt_log(descriptors.log)
    launch = decode_launch(data)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    log.set_up(launch.log_level)
    threading.current_thread().name = "io"
    take_name(launch.reference.rpartition("/")[2])
    _logger.info("worker %d for %s (%s)", os.getpid(), launch.reference, launch.mode)
    mailbox = Mailbox()
    engine = EngineThread(backend, launch, mailbox)
    preparer = PromptThread(mailbox, launch.reference)
    service = Service(launch, engine, preparer, time.monotonic)
    listener = socket.socket(fileno=descriptors.listener)

    def keep_house() -> None:
        backend.pass_on_log()
        bound_log(2)

    loop = IoLoop(listener, service, mailbox, time.monotonic, keep_house)
    _drain_on_sigterm(service, mailbox)
    engine.start()
    preparer.start()
    try:
        loop.run()
    finally:
        saving_s = 0.0 if launch.prefix_folder is None else MAX_SAVE_S
        has_stopped = engine.stop(STOP_S + saving_s) and preparer.stop(STOP_S)
        backend.pass_on_log()
        _logger.info("worker %d ends with status %d", os.getpid(), service.exit_status)
        if service.is_orphan:
            remove_dead(Path(launch.server_socket), Path(launch.lock_path))
        _remove_lease(launch, descriptors.lease)
        if not has_stopped:
            # Native code that hangs would make a normal exit wait, or crash at its teardown.
            os._exit(service.exit_status)
        signal.set_wakeup_fd(-1)
        mailbox.close()
        loop.close()
    return service.exit_status


def _remove_lease(launch: Launch, lease_fd: int) -> None:
    """Take the lease's file away, if it is still the one that we hold open."""
    if launch.lease_path is None:
        return
    path = Path(launch.lease_path)
    with contextlib.suppress(OSError):
        if os.path.samestat(path.stat(), os.fstat(lease_fd)):
            path.unlink()


def _die_first() -> None:
    """Make the out-of-memory killer choose this process before the server, where it asks us."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _drain_on_sigterm(service: Service, mailbox: Mailbox) -> None:
    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        # The handler runs between two bytecodes of the I/O thread, maybe in the middle of a
        # frame; so it only leaves a note.
        service.request_drain("SIGTERM")

    signal.signal(signal.SIGTERM, on_sigterm)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(mailbox.bell_fd, warn_on_full_buffer=False)


def _wait_for_launch(backend: Backend) -> tuple[bytes, Descriptors] | None:
    """Read the launch parameters, and leave the null device in their place."""
    with socket.socket(fileno=os.dup(0)) as line:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        is_needed, _, _ = select.select([line], [], [], 0.0)
        if not is_needed:
            backend.warm_up()
        return receive_launch(line)


def _adopt_log(log_fd: int) -> None:
    for standard_fd in (1, 2):
        os.dup2(log_fd, standard_fd)
    os.close(log_fd)
