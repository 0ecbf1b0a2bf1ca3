"""The server process: sockets, signals, the end."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrunner import log
from pyrunner.config import Settings
from pyrunner.models.collection import sweep
from pyrunner.models.layout import Layout
from pyrunner.process_name import take_name
from pyrunner.server.app import Application, create_application, open_dependencies
from pyrunner.server.http import HttpServer
from pyrunner.server.logfile import log_file, log_path
from pyrunner.server.sockets import open_tcp, open_unix, remove_unix

_LET_GO_S = 2.0
"""How long transfers and runners may take to end once their drain is over."""

_logger = log.get("server")


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server answers."""

    url: str | None
    """None without a TCP listener."""
    socket_path: Path


def print_listening(listening: Listening) -> None:
    """Tell the person who started the server; the last line means that it answers."""
    if listening.url:
        sys.stdout.write(f"Listening on {listening.url}\n")
    sys.stdout.write(f"Listening on {listening.socket_path}\n")
    sys.stdout.flush()


def run(
    settings: Settings,
    *,
    with_tcp: bool = True,
    on_ready: Callable[[Listening], None] = print_listening,
) -> None:
    """Serve until SIGTERM or SIGINT, drain, and let go of the workers. Main thread only.

    Args:
        settings: Where to listen, how long to drain, and everything below.
        with_tcp: Whether to open the TCP port besides the Unix socket.
        on_ready: Called once both sockets accept connections.

    Raises:
        ConfigError: An address that cannot be listened on.
        StoreError: The runtime folder cannot be used.
    """
    take_name("pyrunner")
    log.set_up(settings.log.level)
    _adopt_waitress_log()
    with ExitStack() as stack:
        stack.enter_context(open_server(settings, with_tcp=with_tcp)).run(on_ready)


class Server:
    """One server with its application; made by `open_server`."""

    def __init__(self, http: HttpServer, application: Application, listening: Listening) -> None:
        self._http = http
        self._application = application
        self.listening = listening

    def run(self, on_ready: Callable[[Listening], None] = print_listening) -> None:
        """Serve until a signal. Main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        on_ready(self.listening)
        self.serve()

    def serve(self) -> None:
        """Serve until `stop`, on this thread."""
        settings = self._application.dependencies.settings
        self._http.run(settings.runtime.drain_s, self._application.dependencies.admission.close)

    def stop(self) -> None:
        """End `serve`; the second time, without waiting for what runs. Any thread."""
        self._http.stop()

    def _on_signal(self, _number: int, _frame: Any) -> None:
        # Nothing more: logging is not safe between any two instructions of this thread.
        self.stop()


@contextmanager
def open_server(
    settings: Settings, *, with_tcp: bool = True, application: Application | None = None
) -> Iterator[Server]:
    """Listen, and close everything at the end.

    Args:
        settings: As for `run`.
        with_tcp: As for `run`.
        application: Instead of the real one (tests).

    Raises:
        ConfigError: An address that cannot be listened on.
    """
    with ExitStack() as stack:
        tcp = [stack.enter_context(open_tcp(settings))] if with_tcp else []
        unix = stack.enter_context(open_unix(settings))
        path = settings.socket_path
        stack.callback(remove_unix, path, path.stat().st_ino)
        stack.enter_context(log_file(log_path(settings)))
        application = application or create_application(open_dependencies(settings))
        stack.callback(application.close, _LET_GO_S)
        sweep(Layout(settings.store_path))
        application.dependencies.runtime.adopt()
        if settings.runtime.spare_worker:
            application.dependencies.runtime.keep_spare()
        server = application.dependencies.settings.server
        admission = application.dependencies.admission
        http = HttpServer(application.wsgi, admission, server, [*tcp, unix])
        stack.callback(http.close)
        url = f"http://{_authority(tcp[0].getsockname())}" if tcp else None
        _logger.info("process %d listens on %s and %s", os.getpid(), url, path)
        yield Server(http, application, Listening(url, path))


def _adopt_waitress_log() -> None:
    # Its exceptions belong into our log; how long its queue is, health checks tell better.
    logging.getLogger("waitress").parent = logging.getLogger("pyrunner")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _authority(address: tuple[Any, ...]) -> str:
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
