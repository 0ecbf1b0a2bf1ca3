"""The progress stream: one JSON object per line, escaped for old clients."""

from collections.abc import Iterator
from itertools import chain, islice

import falcon

from pyrunner import log
from pyrunner.errors import PyrunnerError
from pyrunner.models.progress import Mode, ProgressEvent
from pyrunner.server.docker.transfers import Transfer
from pyrunner.server.errors import TEXT
from pyrunner.server.waiting import ClientWatch

_logger = log.get("server")

_ESCAPES = str.maketrans({"&": "&amp;", "'": "&#39;", "<": "&lt;", ">": "&gt;", '"': "&#34;"})


class ProgressBody:
    """A WSGI response body of progress lines; a late error is its last line."""

    def __init__(
        self, events: Iterator[ProgressEvent], transfer: Transfer, *, mode: Mode, is_json: bool
    ) -> None:
        self._events = events
        self._transfer = transfer
        self._mode = mode
        self._is_json = is_json

    def __iter__(self) -> Iterator[bytes]:
        try:
            for event in self._events:
                yield self._line(event)
        except PyrunnerError as error:
            _logger.warning("a %s failed: %s", self._mode, error)
            yield self._failure(error.sentence)
        except Exception:
            # The root of a request: the status is sent, so a line is all we can still say.
            _logger.exception("a %s failed", self._mode)
            yield self._failure("an internal error happened; the server's log has the details")

    def close(self) -> None:
        """Stop the transfer if it still runs. Called by the WSGI server."""
        self._transfer.cancel()

    def _failure(self, sentence: str) -> bytes:
        return self._line(
            ProgressEvent(type="error", message=f"Error: {sentence}", mode=self._mode)
        )

    def _line(self, event: ProgressEvent) -> bytes:
        text = event.to_json()
        return ((text if self._is_json else text.translate(_ESCAPES)) + "\n").encode()


def respond(
    req: falcon.Request, resp: falcon.Response, transfer: Transfer, watch: ClientWatch, mode: Mode
) -> None:
    """Answer with a transfer's progress, once there is some.

    Raises:
        PyrunnerError: The transfer failed before it had any: the answer is that error's status.
    """
    events = transfer.lines(watch)
    try:
        first = list(islice(events, 1))
    except BaseException:
        transfer.cancel()
        raise
    is_json = req.get_header("Accept") == falcon.MEDIA_JSON
    resp.content_type = falcon.MEDIA_JSON if is_json else TEXT
    resp.set_header("Cache-Control", "no-cache")
    resp.stream = ProgressBody(chain(first, events), transfer, mode=mode, is_json=is_json)
