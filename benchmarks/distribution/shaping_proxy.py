"""A far-away registry: a TCP proxy that delays every byte and limits every connection's rate.

Both directions of a connection are a line of their own. A byte that comes in leaves `latency_s`
later, and a line carries `rate_bytes_s` at most. Opening a connection costs one round trip more,
as TCP's handshake does. Slow start, losses and a limit of all connections together are not
simulated.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

_CHUNK_BYTES = 256 * 1024
_MAX_CHUNKS = 64
"""On their way at once; when it is reached nothing more is read, and chunks grow."""

_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Shape:
    """What a connection is like."""

    latency_s: float
    """One way; a round trip takes twice as long."""
    rate_bytes_s: float
    """Of one connection, in each direction."""


@contextlib.contextmanager
def shaped(port: int, shape: Shape) -> Iterator[int]:
    """Put a proxy before a port of loopback until the block ends; its own port is the value."""
    proxy = _Proxy(port, shape)
    thread = threading.Thread(target=asyncio.run, args=(proxy.serve(),), name="proxy")
    thread.start()
    try:
        if not proxy.is_open.wait(_PATIENCE_S):
            raise RuntimeError("the shaping proxy did not start")
        yield proxy.port
    finally:
        proxy.stop()
        thread.join(_PATIENCE_S)


class _Proxy:
    """Only its event loop's thread calls it, but for `is_open`, then `port`, and `stop`."""

    def __init__(self, upstream_port: int, shape: Shape) -> None:
        self._upstream_port = upstream_port
        self._shape = shape
        self.port = 0
        self.is_open = threading.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """End `serve`, and with it all connections. Any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        self.is_open.set()
        await self._stopping.wait()
        # asyncio.run cancels the tasks of the connections, which close their sockets.
        server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened_at = asyncio.get_running_loop().time() + 2 * self._shape.latency_s
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                there, back = await asyncio.open_connection(
                    "127.0.0.1", self._upstream_port, limit=_CHUNK_BYTES
                )
                try:
                    await self._carry_both(opened_at, (reader, back), (there, writer))
                finally:
                    back.close()
            finally:
                writer.close()

    async def _carry_both(
        self, opened_at: float, *directions: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        lines = [asyncio.ensure_future(self._carry(opened_at, *each)) for each in directions]
        try:
            # Registries and their clients close both directions at once.
            await asyncio.wait(lines, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for line in lines:
                line.cancel()
            await asyncio.gather(*lines, return_exceptions=True)

    async def _carry(
        self, opened_at: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MAX_CHUNKS)
        taking = asyncio.ensure_future(self._take_in(opened_at, reader, waiting))
        try:
            while True:
                due_at, chunk = await waiting.get()
                await _sleep_until(due_at)
                if not chunk:
                    return
                writer.write(chunk)
                await writer.drain()
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)

    async def _take_in(
        self,
        opened_at: float,
        reader: asyncio.StreamReader,
        waiting: "asyncio.Queue[tuple[float, bytes]]",
    ) -> None:
        """Read at the line's rate and say when each chunk is due; an empty one is the end."""
        now = asyncio.get_running_loop().time
        await _sleep_until(opened_at)
        free_at = now()
        while True:
            # A line that waits for bytes, or for room, carries nothing meanwhile. A timer that
            # fires late, on the other hand, is made up for: that was not the line.
            idle_since = now()
            try:
                chunk = await reader.read(_CHUNK_BYTES)
            except OSError:
                chunk = b""
            free_at += now() - idle_since + len(chunk) / self._shape.rate_bytes_s
            blocked_since = now()
            await waiting.put((max(free_at, now()) + self._shape.latency_s, chunk))
            free_at += now() - blocked_since
            if not chunk:
                return
            await _sleep_until(free_at)


async def _sleep_until(at_s: float) -> None:
    await asyncio.sleep(max(0.0, at_s - asyncio.get_running_loop().time()))
