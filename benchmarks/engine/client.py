"""A streaming client of OpenAI's completions and chats that says when each piece came.

The same for all contestants. While a stream runs it only takes the time and keeps the bytes;
what they mean is looked at afterwards, so that it costs the measured machine little.
"""

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Self

from measuring.programs import MeasurementError
from measuring.serving import TIMEOUT_S

_OK = 200
_MAX_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request: what to continue, and by how many tokens."""

    prompt: str
    n_out: int
    bias: Mapping[str, float] | None = None
    """Added to the logits of these token ids."""
    is_chat: bool = False
    """The prompt is what a user says, and the model's template is put around it."""
    may_end: bool = False
    """The model's own end of its answer counts; otherwise it gives `n_out` tokens."""
    more: Mapping[str, object] = field(default_factory=dict)
    """Parameters beside those."""

    @property
    def path(self) -> str:
        """Where it is sent."""
        return "/v1/chat/completions" if self.is_chat else "/v1/completions"

    def body(self, model: str) -> dict[str, object]:
        """What is sent."""
        said = {"role": "user", "content": self.prompt}
        return {
            "model": model,
            **({"messages": [said]} if self.is_chat else {"prompt": self.prompt}),
            "max_tokens": self.n_out,
            "temperature": 0,
            "ignore_eos": not self.may_end,
            "stream": True,
            "stream_options": {"include_usage": True},
            **({"logit_bias": dict(self.bias)} if self.bias else {}),
            **self.more,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, with times in seconds of one clock of this process."""

    begin_s: float
    """When the request was sent."""
    end_s: float
    """When the last byte had come."""
    text_times_s: tuple[float, ...] = ()
    """When each piece of text came."""
    text: str = ""
    n_prompt: int = 0
    n_cached: int = 0
    """Tokens of the prompt that were not computed again."""
    n_out: int = 0
    predicted_s: float = 0.0
    """From the first token to the last, as the server times them."""
    error: str = ""
    """Why there is no whole answer; empty when there is."""

    @property
    def first_s(self) -> float:
        """Until the first piece of text; until the end if there was none."""
        return (self.text_times_s[0] if self.text_times_s else self.end_s) - self.begin_s

    @property
    def decode_s(self) -> float:
        """From the first piece of text to the end."""
        return self.end_s - self.text_times_s[0] if self.text_times_s else 0.0

    @property
    def decode_rate(self) -> float:
        """Tokens per second after the first."""
        return (self.n_out - 1) / self.decode_s

    def longest_gap_s(self, begin_s: float, end_s: float) -> float:
        """Longest silence between two pieces of text that lies partly between two times."""
        pairs = itertools.pairwise(self.text_times_s)
        gaps = (after - before for before, after in pairs if after > begin_s and before < end_s)
        return max(gaps, default=0.0)


class Stream:
    """A request on its way. Leaving the ``with`` block closes the connection."""

    def __init__(self, port: int, model: str, request: Ask) -> None:
        content = json.dumps(request.body(model)).encode()
        head = (
            f"POST {request.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader: BinaryIO = self._socket.makefile("rb")
        self.begin_s = time.perf_counter()
        self._socket.sendall(head.encode() + content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. Any thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.close()
        self._socket.close()

    def events(self) -> Iterator[tuple[float, bytes]]:
        """When each event came, and what it carries.

        Raises:
            MeasurementError: The server refused; with its answer.
        """
        status, is_chunked = self._head()
        pieces = self._chunks() if is_chunked else iter(lambda: self._reader.read1(65536), b"")  # type: ignore[attr-defined]  # of a buffered reader
        if status != _OK:
            raise MeasurementError(f"{status}: {b''.join(pieces)[:500].decode(errors='replace')}")
        yield from events_of(pieces, time.perf_counter)

    def _head(self) -> tuple[int, bool]:
        status_line = self._reader.readline(_MAX_LINE_BYTES).split()
        if len(status_line) < 2:
            raise MeasurementError("The server closed the connection without an answer.")
        is_chunked = False
        while (line := self._reader.readline(_MAX_LINE_BYTES).strip().lower()) != b"":
            is_chunked |= line.replace(b" ", b"") == b"transfer-encoding:chunked"
        return int(status_line[1]), is_chunked

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._reader.readline(_MAX_LINE_BYTES).split(b";")[0] or b"0", 16):
            yield self._reader.read(size)
            self._reader.readline(_MAX_LINE_BYTES)


def events_of(pieces: Iterator[bytes], clock: Callable[[], float]) -> Iterator[tuple[float, bytes]]:
    """Server-sent events out of bytes that are cut anywhere; each ``data`` with its time."""
    held = b""
    for piece in pieces:
        now = clock()
        *lines, held = (held + piece).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield now, line[5:].strip()


def answer_of(begin_s: float, end_s: float, events: Sequence[tuple[float, bytes]]) -> Answer:
    """Read the events of one stream."""
    times_s: list[float] = []
    pieces: list[str] = []
    usage: dict[str, Any] = {}
    timings: dict[str, Any] = {}
    for when_s, data in events:
        if data == b"[DONE]":
            continue
        document = json.loads(data)
        if "error" in document:
            return Answer(begin_s=begin_s, end_s=end_s, error=str(document["error"]))
        usage = document.get("usage") or usage
        timings = document.get("timings") or timings
        piece = "".join(_said(choice) for choice in document.get("choices", ()))
        if piece:
            times_s.append(when_s)
            pieces.append(piece)
    details = usage.get("prompt_tokens_details") or {}
    return Answer(
        begin_s=begin_s,
        end_s=end_s,
        text_times_s=tuple(times_s),
        text="".join(pieces),
        n_prompt=usage.get("prompt_tokens", 0),
        n_cached=details.get("cached_tokens", timings.get("cache_n", 0)),
        n_out=usage.get("completion_tokens", 0),
        predicted_s=timings.get("predicted_ms", 0.0) / 1000,
        error="" if usage else "the stream ended before its usage came",
    )


def _said(choice: Mapping[str, Any]) -> str:
    """The text of a completion's or a chat's piece."""
    return choice.get("text") or (choice.get("delta") or {}).get("content") or ""


def ask(port: int, model: str, request: Ask) -> Answer:
    """Send one request and wait for all of it; a refusal is an `Answer.error`."""
    begin_s = time.perf_counter()
    events: list[tuple[float, bytes]] = []
    try:
        with Stream(port, model, request) as stream:
            begin_s = stream.begin_s
            events.extend(stream.events())
    except (OSError, ValueError, MeasurementError) as error:
        return Answer(begin_s=begin_s, end_s=time.perf_counter(), error=str(error))
    return answer_of(begin_s, time.perf_counter(), events)


def in_threads(works: Sequence[Callable[[], None]]) -> None:
    """Do all at once, and wait for all.

    Threads of a measurement that is given up end with their servers; they hold nobody back.
    """
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ask_all(port: int, model: str, requests: Sequence[Ask]) -> list[Answer]:
    """Send all at once, and wait for all; answers in the requests' order."""
    answers: dict[int, Answer] = {}

    def work(i_request: int) -> Callable[[], None]:
        return lambda: answers.update({i_request: ask(port, model, requests[i_request])})

    in_threads([work(i) for i in range(len(requests))])
    return [answers[i] for i in range(len(requests))]


def duration_s(answers: Sequence[Answer]) -> float:
    """From the first request to the last byte."""
    return max(each.end_s for each in answers) - min(each.begin_s for each in answers)


def token_time_s(answers: Sequence[Answer]) -> float:
    """What a token took after the first of its answer, over all of them.

    Raises:
        MeasurementError: No answer has two tokens.
    """
    n_tokens = sum(max(0, each.n_out - 1) for each in answers)
    if n_tokens == 0:
        raise MeasurementError(f"No token came after the first of {len(answers)} answers.")
    return sum(each.decode_s for each in answers) / n_tokens


def whole(answers: Sequence[Answer]) -> Sequence[Answer]:
    """The same answers.

    Raises:
        MeasurementError: One of them failed: what they took means nothing then.
    """
    failed = [each.error for each in answers if each.error]
    if failed:
        raise MeasurementError(f"{len(failed)} of {len(answers)} requests failed: {failed[0]}")
    return answers
