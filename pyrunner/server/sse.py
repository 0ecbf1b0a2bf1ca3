"""Server-sent events: how one is written, and the response body that carries them."""

from collections.abc import Callable, Iterator

import msgspec

from pyrunner import log
from pyrunner.errors import PyrunnerError
from pyrunner.server.errors import envelope, internal_envelope

DONE = b"data: [DONE]\n\n"
"""OpenAI's last event."""

_logger = log.get("server")
_encoder = msgspec.json.Encoder()


def event(document: object) -> bytes:
    """One event that carries a JSON document, which never contains a line break."""
    return b"data: " + _encoder.encode(document) + b"\n\n"


class EventBody:
    """A WSGI response body of events that ends with an error event when something breaks.

    The server iterates it on one thread and calls `close` exactly once, early if the client is
    gone; `on_close` then cancels the request and gives its place back.
    """

    def __init__(self, events: Iterator[bytes], on_close: Callable[[], None]) -> None:
        self._events = events
        self._on_close = on_close

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._events
        except PyrunnerError as error:
            _logger.warning("a stream failed: %s", error)
            yield event(envelope(error))
        except Exception:
            # The root of a request: the status is sent, so the event is all we can still say.
            _logger.exception("a stream failed")
            yield event(internal_envelope())

    def close(self) -> None:
        """Cancel the request if it still runs. Called by the WSGI server."""
        self._on_close()
