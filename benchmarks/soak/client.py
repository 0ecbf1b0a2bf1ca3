"""One request over HTTP, waited for or left at a chosen moment, and what became of it."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

PATIENCE_S = 180.0
"""A request that has no answer by then will never have one."""

_OK = 200
_SERVICE_UNAVAILABLE = 503
_WAIT_LEAST_S = 0.001


class Outcome(Enum):
    """What became of a request."""

    ANSWERED = "answered"
    CANCELLED = "cancelled"
    """The client hung up before the end."""
    REFUSED = "refused"
    """The answer is that it may be asked again later."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Document:
    """A whole answer."""

    status: int
    events: list[Any]
    """Of a stream, or the one that there is."""

    @property
    def error(self) -> Mapping[str, Any]:
        """What the last event complains about; empty if it does not."""
        last = self.events[-1] if self.events else None
        found = last.get("error") if isinstance(last, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def finish_reason(self) -> str:
        """Of the first choice; empty when it did not end."""
        reasons = [
            choice.get("finish_reason") for event in self.events for choice in event["choices"]
        ]
        return next((each for each in reasons if each), "")

    @property
    def text(self) -> str:
        """Of a chat or a completion."""
        pieces = []
        for event in self.events:
            for choice in event["choices"]:
                said = choice.get("delta", choice.get("message", {}))
                pieces.append(said.get("content") or choice.get("text") or "")
        return "".join(pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked, and what an answer has to be."""

    kind: str
    path: str
    body: Mapping[str, Any]
    complaint: Callable[[Document], str]
    """What is wrong with an answer; empty when nothing is."""
    may_be_refused: bool = False
    """Its model is unloaded now and then, whoever uses it."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one request ended."""

    kind: str
    outcome: Outcome
    detail: str = ""


def perform(port: int, request: Request, hang_up_s: float | None, sent: float = 1.0) -> Result:
    """Ask, and read the answer to its end or until it is time to hang up.

    Args:
        port: Of the server, on loopback.
        request: What to ask.
        hang_up_s: Seconds after which the client leaves; None stays.
        sent: Share of the request's bytes that are sent; with less than all of them the client
            leaves at once.
    """
    begin = time.monotonic()
    deadline = begin + (PATIENCE_S if hang_up_s is None else hang_up_s)
    try:
        document = _exchange(port, request, deadline, sent)
    except TimeoutError:
        if hang_up_s is None:
            return Result(request.kind, Outcome.FAILED, f"no answer in {PATIENCE_S:g} s")
        return Result(request.kind, Outcome.CANCELLED)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Result(request.kind, Outcome.FAILED, f"{type(error).__name__}: {error}")
    if document is None:
        return Result(request.kind, Outcome.CANCELLED)
    return _judged(request, document)


def _judged(request: Request, document: Document) -> Result:
    is_busy = document.status == _SERVICE_UNAVAILABLE or document.error.get("code") in (
        "shutting_down",
        "model_loading",
    )
    if is_busy and request.may_be_refused:
        return Result(request.kind, Outcome.REFUSED)
    try:
        complaint = request.complaint(document)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        complaint = f"not what was asked for ({error!r})"
    if complaint:
        detail = f"{complaint}: {document.status} {json.dumps(document.events)[-400:]}"
        return Result(request.kind, Outcome.FAILED, detail)
    return Result(request.kind, Outcome.ANSWERED)


def _exchange(port: int, request: Request, deadline: float, sent: float) -> Document | None:
    content = json.dumps(request.body).encode()
    head = (
        f"POST {request.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    message = head.encode() + content
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(message[: int(len(message) * sent)])
        if sent < 1.0:
            return None

        def wait() -> None:
            connection.settimeout(max(_WAIT_LEAST_S, deadline - time.monotonic()))

        wait()
        response = http.client.HTTPResponse(connection, method="POST")
        try:
            response.begin()
            data = bytearray()
            wait()
            while piece := response.read1(65536):
                data += piece
                if time.monotonic() > deadline:
                    raise TimeoutError
                wait()
        finally:
            response.close()
        return Document(response.status, _events(response, data.decode()))


def _events(response: http.client.HTTPResponse, text: str) -> list[Any]:
    if not (response.headers["Content-Type"] or "").startswith("text/event-stream"):
        return [json.loads(text)]
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data:")]
    *events, last = lines
    if last != "[DONE]":
        events.append(last)  # an error, which the stream ends with
        if "error" not in json.loads(last):
            raise ValueError(f"the stream ends in {last[-200:]!r}")
    return [json.loads(each) for each in events]
