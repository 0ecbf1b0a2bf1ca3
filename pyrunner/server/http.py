"""waitress on both sockets at once: one loop, one set of threads.

waitress refuses TCP and Unix sockets in one server, so there are two servers on one socket map.
The loop runs on the thread that calls `HttpServer.run`; requests run on the ``waitress-N`` threads.
"""

import socket
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

import waitress.channel
import waitress.server
import waitress.task
import waitress.wasyncore

from pyrunner import __version__, log
from pyrunner.config import ServerConfig
from pyrunner.server.admission import Admission
from pyrunner.server.security import UNIX_SOCKET_KEY
from pyrunner.server.uploads import channel_class

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

MAX_HEADER_BYTES = 64 * 1024
MAX_CONNECTIONS = 512
"""Open connections, idle ones included; further ones wait in the kernel's backlog."""
MAX_OUTPUT_BYTES = 256 * 1024
"""What waits for a slow reader before the answer's thread waits too."""


MAX_STALL_S = 60.0
"""How long a connection may take none of the bytes that wait for it; then it is closed.

Its answer holds a thread and a stream until then, and waitress itself would wait for ever.
"""

_LOOP_S = 1.0
_DRAIN_LOOP_S = 0.02
_FLUSH_S = 2.0
"""How long the last bytes of ended answers may take."""

_logger = log.get("server")


class HttpServer:
    """Serves one application on given sockets until told to stop.

    Args:
        app: Any WSGI application.
        admission: Says how many threads are needed and how much still runs.
        config: Limits.
        sockets: Bound and listening; owned from now on.
    """

    def __init__(
        self,
        app: WsgiApp,
        admission: Admission,
        config: ServerConfig,
        sockets: Iterable[socket.socket],
    ) -> None:
        self.max_stall_s = MAX_STALL_S
        self._admission = admission
        self._waiting_since: dict[tuple[Any, float], float] = {}
        self._next_look_s = 0.0
        self._map: dict[int, Any] = {}
        self._dispatcher = waitress.task.ThreadedTaskDispatcher()
        self._dispatcher.set_thread_count(admission.n_threads)
        self._servers = [self._serve(app, config, each) for each in sockets]
        self._is_stopping = False
        self._is_hurried = False
        self._is_closed = False

    def run(self, drain_s: float, on_deadline: Callable[[], None]) -> None:
        """Serve until `stop`, then let what runs finish.

        Args:
            drain_s: Seconds for that.
            on_deadline: Called when they are over, or at once when nothing runs; has to end
                what still does.
        """
        while not self._is_stopping:
            self._loop(_LOOP_S)
        _logger.info("draining %d requests for at most %g s", self._admission.n_active, drain_s)
        self._admission.drain()
        for server in self._servers:
            server.accepting = False
            server.socket.close()
            server.del_channel()
        self._loop_while_busy(drain_s)
        on_deadline()
        self._is_hurried = False
        self._loop_while_busy(_FLUSH_S)

    def stop(self) -> None:
        """Begin to drain; the second time, end the drain. Any thread, and signal handlers."""
        self._is_hurried = self._is_stopping
        self._is_stopping = True
        if not self._is_closed:
            self._servers[0].pull_trigger()

    def close(self) -> None:
        """Close every connection and end the threads. Called after `run`, or instead of it."""
        self._is_closed = True
        for channel in self._channels():
            channel.handle_close()  # also wakes the threads that wait for a slow reader
        self._dispatcher.shutdown(timeout=_FLUSH_S)
        for server in self._servers:
            server.trigger.close()
        waitress.wasyncore.close_all(self._map)

    def _serve(self, app: WsgiApp, config: ServerConfig, listener: socket.socket) -> Any:
        is_unix = listener.family == socket.AF_UNIX
        server: Any = waitress.server.create_server(
            _marked(app) if is_unix else app,
            map=self._map,
            _dispatcher=self._dispatcher,
            sockets=[listener],
            threads=self._admission.n_threads,
            # Without it a vanished client is noticed only when something is written.
            channel_request_lookahead=1,
            asyncore_use_poll=True,
            asyncore_loop_timeout=int(_LOOP_S),
            connection_limit=MAX_CONNECTIONS,
            max_request_header_size=MAX_HEADER_BYTES,
            # Twice ours, so that our own clear refusal is reached first.
            max_request_body_size=2 * config.max_body_bytes,
            outbuf_high_watermark=MAX_OUTPUT_BYTES,
            clear_untrusted_proxy_headers=True,
            log_socket_errors=False,
            ident=f"pyrunner/{__version__}",
        )
        server.channel_class = channel_class(config.max_load_bytes)
        return server

    def _loop_while_busy(self, limit_s: float) -> None:
        end = monotonic() + limit_s
        while monotonic() < end and not self._is_hurried and self._is_busy():
            self._loop(_DRAIN_LOOP_S)

    def _is_busy(self) -> bool:
        return self._admission.n_active > 0 or any(
            each.requests or each.total_outbufs_len for each in self._channels()
        )

    def _loop(self, timeout_s: float) -> None:
        waitress.wasyncore.loop(timeout=timeout_s, use_poll=True, map=self._map, count=1)
        if monotonic() >= self._next_look_s:
            self._next_look_s = monotonic() + _LOOP_S
            self._close_stalled(monotonic())

    def _close_stalled(self, now_s: float) -> None:
        # waitress notes the time whenever bytes leave: as long as it is the same, none did.
        waiting = [
            (each, each.last_activity) for each in self._channels() if each.total_outbufs_len
        ]
        self._waiting_since = {key: self._waiting_since.get(key, now_s) for key in waiting}
        for (channel, _), since_s in self._waiting_since.items():
            if now_s - since_s > self.max_stall_s:
                _logger.warning("a client has read nothing for %g s: closed", self.max_stall_s)
                channel.handle_close()

    def _channels(self) -> list[Any]:
        return [each for server in self._servers for each in server.active_channels.values()]


def _marked(app: WsgiApp) -> WsgiApp:
    def on_unix_socket(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ[UNIX_SOCKET_KEY] = True
        return app(environ, start_response)

    return on_unix_socket
