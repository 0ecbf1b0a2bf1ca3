"""Connections that share the server's one loop."""

from pyrunner.server import refusals

MAX_TURN_BYTES = 1024 * 1024
"""What one connection sends before the others have their turn."""


class FairChannel(refusals.Channel):
    """A connection that cannot keep the loop: a fast reader of a large file would, to its end."""

    _n_sent = 0

    def send(self, data: bytes, do_close: bool = True) -> int:  # noqa: FBT001, FBT002  # the parent's
        """Send, or after a turn's worth pretend once that the socket is full."""
        n_bytes = 0
        if self._n_sent < MAX_TURN_BYTES:
            n_bytes = super().send(data, do_close=do_close)
        self._n_sent = self._n_sent + n_bytes if n_bytes else 0
        return n_bytes
