"""HTTP to the server: one connection per request, over TCP or a Unix socket.

Built on the standard library's client, because importing `requests` alone would cost a third of the
time that ``pyrunner --help`` may take. Its exceptions become ours here and nowhere else.
"""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from typing import Any
from urllib.parse import quote

from pyrunner import __version__, config
from pyrunner.cli import lines
from pyrunner.cli.address import Address
from pyrunner.errors import ServerAnswerError, ServerUnreachableError

CONNECT_TIMEOUT_S = 5.0
"""Longest wait for a connection."""
SILENCE_TIMEOUT_S = 900.0
"""Longest silence of a server that loads a model or reads a long prompt."""
PROBE_TIMEOUT_S = 2.0
"""Longest silence of what `Client.is_answering` asks, and how long its whole answer may take."""
MAX_ERROR_BYTES = 64 * 1024
"""How much of a refusal is read."""
UNTOLD = "bearer-token"
"""The key of a body whose value is told to nobody."""
NO_STATUS = 0
"""`ServerAnswerError.status` where the answer, if any, says nothing about the request."""
_CHUNK_BYTES = 64 * 1024
_NO_ROUTE = "404 page not found"
"""What servers written in Go say of a path that nobody has; of a model it says nothing."""
_GREETING = b"Docker Model Runner is running"


class Answer:
    """A successful answer that is still arriving. Owned by the `Client.open` that made it."""

    def __init__(self, response: http.client.HTTPResponse, address: Address) -> None:
        self._response = response
        self._address = address

    def chunks(self) -> Iterator[bytes]:
        """Bytes as they arrive.

        Raises:
            ServerAnswerError: The connection broke before the end.
        """
        try:
            while chunk := self._response.read1(_CHUNK_BYTES):
                yield chunk
        except (http.client.HTTPException, OSError) as error:
            raise _broke_off(self._address) from error

    def header(self, name: str) -> str:
        """One header of the answer, empty when it has none."""
        return self._response.headers.get(name) or ""

    def lines(self) -> Iterator[str]:
        """The answer line by line."""
        return lines.lines(self.chunks())

    def events(self) -> Iterator[dict[str, Any]]:
        """The data of its server-sent events, each a JSON object.

        Raises:
            ServerAnswerError: The server sent an error event, or the connection broke.
        """
        for text in lines.event_data(self.chunks()):
            event = _parse(text)
            if "error" in event:
                raise _from_envelope(200, event)
            yield event


class Client:
    """Requests to the server at one address. Any thread; holds no connection between requests.

    Args:
        address: Where it is.
        silence_s: Longest silence before its answer counts as broken off.
    """

    def __init__(self, address: Address, *, silence_s: float = SILENCE_TIMEOUT_S) -> None:
        self.address = address
        self._silence_s = silence_s
        self._on_request: Callable[[str], None] | None = None

    def tell_requests(self, on_request: Callable[[str], None]) -> None:
        """Have every request from now on told before it is sent: where it goes, and its body."""
        self._on_request = on_request

    def is_answering(self) -> bool:
        """Whether a model runner, and not some other or hung program, answers there now."""
        probe = Client(self.address, silence_s=PROBE_TIMEOUT_S)
        end = time.monotonic() + PROBE_TIMEOUT_S
        try:
            with probe.open("GET", "/") as answer:
                in_time = takewhile(lambda _: time.monotonic() < end, answer.chunks())
                return any(_GREETING in chunk for chunk in in_time)
        except (ServerUnreachableError, ServerAnswerError):
            return False

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send one request and return the JSON of the answer, None for an empty one.

        Raises:
            ServerUnreachableError: Nobody listens there.
            ServerAnswerError: A status that is no success, with the server's sentence; or a
                success that is no JSON.
        """
        with self.open(method, path, body) as answer:
            text = b"".join(answer.chunks())
        try:
            return json.loads(text) if text.strip() else None
        except ValueError as error:
            raise _stranger(self.address, 200, "something that is no JSON") from error

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> Iterator[Answer]:
        """Send one request; leaving the block closes the connection, which cancels the request.

        Args:
            method: ``GET``, ``POST`` or ``DELETE``.
            path: From the root of the API, already quoted (see `quoted`).
            body: Sent as JSON when not None; an iterator of bytes as it is, piece by piece.
            headers: More headers.

        Raises:
            ServerUnreachableError: Nobody listens there.
            ServerAnswerError: A status that is no success, with the server's sentence.
        """
        connection = _connection(self.address)
        try:
            # The response owns the socket when the server closes the connection.
            with self._exchange(connection, method, path, body, headers or {}) as response:
                if not 200 <= response.status < 300:
                    raise _refusal(response, self.address)
                yield Answer(response, self.address)
        finally:
            connection.close()

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: object,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        try:
            connection.connect()
        except OSError as error:
            raise ServerUnreachableError(address=str(self.address)) from error
        connection.sock.settimeout(self._silence_s)
        data, content_type = _encoded(body)
        if self._on_request is not None:
            self._on_request(f"{method} {self.address}{path}{_told(body)}")
        typed = {"Content-Type": content_type} if content_type else {}
        try:
            connection.request(
                method,
                self.address.prefix + path,
                data,
                {"User-Agent": _user_agent()} | typed | headers,
            )
            return connection.getresponse()
        except (http.client.HTTPException, OSError) as error:
            raise _broke_off(self.address) from error


def _told(body: object) -> str:
    if body is None or isinstance(body, Iterator):
        return ""
    if isinstance(body, dict):
        body = {key: "(secret)" if key == UNTOLD else value for key, value in body.items()}
    return f" {json.dumps(body)}"


def _encoded(body: object) -> tuple[Any, str]:
    if body is None:
        return None, ""
    if isinstance(body, Iterator):
        return body, "application/octet-stream"
    return json.dumps(body).encode(), "application/json"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_TIMEOUT_S)
            sock.connect(self._path)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


def quoted(reference: str) -> str:
    """A model's name as part of a path: the slashes and colons of a reference stay readable."""
    return quote(reference, safe="/:@", errors="replace")


def _connection(address: Address) -> http.client.HTTPConnection:
    if address.socket_path:
        return _UnixConnection(address.socket_path, CONNECT_TIMEOUT_S)
    if address.is_tls:
        return http.client.HTTPSConnection(address.host, address.port, timeout=CONNECT_TIMEOUT_S)
    return http.client.HTTPConnection(address.host, address.port, timeout=CONNECT_TIMEOUT_S)


def _user_agent() -> str:
    product = f"docker-model-cli/{__version__}"
    caller = config.environment_value("USER_AGENT")
    return f"{product} {caller}" if caller else product


def _refusal(response: http.client.HTTPResponse, address: Address) -> ServerAnswerError:
    body = b""
    with suppress(http.client.HTTPException, OSError):
        body = response.read(MAX_ERROR_BYTES)
    text = body.decode("utf-8", "replace").strip()
    try:
        envelope = json.loads(text)
    except ValueError:
        envelope = None
    if isinstance(envelope, dict) and "error" in envelope:
        return _from_envelope(response.status, envelope)
    code = response.headers.get("X-Error-Code", "")
    is_missing = response.status == 404
    is_page = not text or response.headers.get_content_type() == "text/html"
    if is_page or (is_missing and not code and not _says_what_is_missing(text, envelope)):
        what = f"status {response.status} {response.reason}"
        return _stranger(address, NO_STATUS if is_missing else response.status, what)
    return ServerAnswerError(status=response.status, message=text, error_code=code)


def _says_what_is_missing(text: str, document: object) -> bool:
    """Whether a 404 can be a model runner's, or another server's of OpenAI's API."""
    if isinstance(document, dict):
        return "message" in document
    is_said = "not found" in text or text.startswith("unknown action")
    return is_said and text != _NO_ROUTE


def _stranger(address: Address, status: int, what: str) -> ServerAnswerError:
    message = f"{address} answered with {what}. Is it a model runner? See MODEL_RUNNER_HOST."
    return ServerAnswerError(status=status, message=message)


def _from_envelope(status: int, envelope: dict[str, Any]) -> ServerAnswerError:
    error = envelope["error"]
    if not isinstance(error, dict):
        return ServerAnswerError(status=status, message=str(error))
    return ServerAnswerError(
        status=status,
        message=str(error.get("message") or "The server gave no reason."),
        error_code=str(error.get("code") or ""),
    )


def _parse(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except ValueError as error:
        raise ServerAnswerError(
            status=200, message=f"The server sent an event that is no JSON: {text[:80]!r}"
        ) from error
    return event if isinstance(event, dict) else {"value": event}


def _broke_off(address: Address) -> ServerAnswerError:
    return ServerAnswerError(
        status=NO_STATUS,
        message=f"The connection to {address} broke off before the answer ended. "
        "'pyrunner logs' may say why.",
    )
