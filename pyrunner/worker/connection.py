"""One connection of the worker: bytes in, bytes out, never waiting. The I/O thread owns it."""

import socket
from collections.abc import Callable, Iterator

from pyrunner.wire.channel import decoder_of_server_frames, encode
from pyrunner.wire.frames import FromServer, FromWorker

MAX_BUFFERED_BYTES = 1024 * 1024
"""What may wait for a peer that does not read, besides what the kernel holds.

The frame that crosses the limit is still taken (a batch of vectors may be larger alone); the next
one is refused, and its request is cancelled.
"""

_RECEIVE_BYTES = 64 * 1024


class Connection:
    """A peer on a socket.

    Args:
        sock: Connected; made non-blocking, owned from now on.
        opened_s: When it was accepted, on the loop's clock.
        on_change: Called when `wants_write` or `is_closed` may have changed.
    """

    def __init__(
        self, sock: socket.socket, opened_s: float, on_change: Callable[["Connection"], None]
    ) -> None:
        sock.settimeout(0.0)
        self.sock = sock
        self.opened_s = opened_s
        self.is_closed = False
        """Nothing comes or goes any more; the loop takes it away."""
        self._on_change = on_change
        self._decoder = decoder_of_server_frames()
        self._unsent = bytearray()
        self._is_closing = False

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for the peer to read."""
        return bool(self._unsent) and not self.is_closed

    def send(self, frame: FromWorker) -> bool:
        """Send what the peer takes now and keep the rest."""
        if self.is_closed or self._is_closing or len(self._unsent) > MAX_BUFFERED_BYTES:
            return False
        self._unsent += encode(frame)
        self.flush()
        return not self.is_closed

    def flush(self) -> None:
        """Send more of what waits; the socket has become writable."""
        try:
            while self._unsent:
                n_sent = self.sock.send(self._unsent)
                del self._unsent[:n_sent]
        except BlockingIOError:
            pass
        except OSError:  # the peer is gone; whatever its reason, there is nobody to tell
            self.is_closed = True
        if self._is_closing and not self._unsent:
            self.is_closed = True
        self._on_change(self)

    def receive(self) -> Iterator[FromServer]:
        """The frames that have arrived. The end of the stream closes the connection.

        Raises:
            WorkerProtocolError: The bytes are no frames.
        """
        try:
            data = self.sock.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:  # reset by a peer that died: the same as its end
            data = b""
        if not data:
            self.drop()
            return
        yield from self._decoder.feed(data)

    def close(self) -> None:
        """Close when everything sent has left."""
        self._is_closing = True
        self.flush()

    def drop(self) -> None:
        """Close now."""
        self.is_closed = True
        self._on_change(self)
