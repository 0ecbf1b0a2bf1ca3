"""What waitress refuses by itself, in the words and the dialect of our own errors.

A request that is broken or too large for it never reaches the application. These classes take the
place of waitress's own, on each connection; they run on its threads.
"""

from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask

from pyrunner.server.errors import CODE_HEADER, refused_before_routing

_MAX_LINE_BYTES = 1024
"""How much of a request is kept for its path."""


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Remembers which path was asked for: waitress forgets it when the headers are too large."""

    def __init__(self, adj: Any) -> None:
        super().__init__(adj)
        self._head = b""

    def received(self, data: bytes) -> int:
        """Take bytes of one request; tells how many."""
        if not self.headers_finished and len(self._head) < _MAX_LINE_BYTES:
            self._head += data[:_MAX_LINE_BYTES]
        n_taken: int = super().received(data)
        return n_taken

    @property
    def asked_path(self) -> str:
        """The path of the first line, or nothing when there is none."""
        words = self._head.lstrip().split(b"\r\n", 1)[0].split(b" ")
        return words[1].split(b"?")[0].decode("latin-1") if len(words) > 1 else ""


class _Refusal(ErrorTask):  # type: ignore[misc]  # waitress has no types
    def execute(self) -> None:
        """Answer and close the connection."""
        error = self.request.error
        path = getattr(self.request, "asked_path", "")
        message = f"{error.reason}: {error.body}"
        code, content_type, body = refused_before_routing(path, error.code, message)
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", content_type), (CODE_HEADER, code)]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection that refuses as the application does."""

    parser_class = Parser
    error_task_class = _Refusal
