"""``GET /logs``: the server's and the workers' log files as one text."""

import heapq
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

import falcon

from pyrunner.server.admission import Ticket
from pyrunner.server.docker.queries import parse_bool
from pyrunner.server.docker.transfers import Transfers
from pyrunner.server.errors import TEXT, refuse_text
from pyrunner.server.waiting import ClientWatch

_FOLLOW_S = 0.1
"""How often a followed file is looked at."""
_LONGEST_LINE = 64 * 1024
"""Bytes after which a line is broken in two."""
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")


class LogSource(Protocol):
    """Where logs are."""

    @property
    def service(self) -> Path:
        """The server's own file."""
        ...

    def engines(self) -> Sequence[Path]:
        """The workers' files."""
        ...


class LogFiles:
    """The real files."""

    def __init__(self, service: Path, engines: Callable[[], Sequence[Path]]) -> None:
        self._service = service
        self._engines = engines

    @property
    def service(self) -> Path:
        """The file that `pyrunner.server.serve` writes."""
        return self._service

    def engines(self) -> Sequence[Path]:
        """Asked anew for every request: workers come and go."""
        return self._engines()


class Logs:
    """``GET /logs?follow=&no-engines=``."""

    def __init__(
        self,
        source: LogSource,
        transfers: Transfers,
        watch: Callable[[falcon.Request], ClientWatch],
    ) -> None:
        self._source = source
        self._transfers = transfers
        self._watch = watch

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All lines by time; with `follow` also those to come, until the client goes."""
        switches = {}
        for name in ("follow", "no-engines"):
            text = req.get_param(name)
            value = False if text is None else parse_bool(text)
            if value is None:
                problem = f'invalid {name} parameter: "{(text or "")[:100]}" is not a valid boolean'
                refuse_text(resp, 400, problem, "invalid_parameter")
                return
            switches[name] = value
        if not self._source.service.is_file():
            refuse_text(resp, 404, "service log not found", "not_found")
            return
        paths = [self._source.service]
        paths += [] if switches["no-engines"] else self._source.engines()
        ticket = self._transfers.admit()
        watch = self._watch(req) if switches["follow"] else None
        resp.content_type = TEXT
        resp.stream = _LogBody(paths, ticket, watch)


class _LogBody:
    """A WSGI response body; without a watch it ends at the ends of the files."""

    def __init__(self, paths: Sequence[Path], ticket: Ticket, watch: ClientWatch | None) -> None:
        self._paths = paths
        self._ticket = ticket
        self._watch = watch
        self._files: list[IO[bytes]] = []

    def __iter__(self) -> Iterator[bytes]:
        for path in self._paths:
            if path.is_file():
                self._files.append(path.open("rb"))
        yield from merged([_timed(file) for file in self._files])
        watch, pause = self._watch, threading.Event()
        while watch is not None and not watch.is_over():
            new = b"".join(file.read(_LONGEST_LINE) for file in self._files)
            if new:
                yield new
            else:
                pause.wait(_FOLLOW_S)

    def close(self) -> None:
        """Close the files. Called by the WSGI server."""
        for file in self._files:
            file.close()
        self._ticket.release()


def merged(files: Sequence[Iterator[tuple[bytes, bytes]]]) -> Iterator[bytes]:
    """Lines of several files by time; the earlier file first on ties."""
    for _, line in heapq.merge(*files, key=lambda timed: timed[0]):
        yield line


def _timed(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    # A line without a time, such as one of a traceback, stays behind the line before it.
    time = b""
    while line := file.readline(_LONGEST_LINE):
        match = _TIME.match(line)
        time = match[0] if match else time
        yield time, line
