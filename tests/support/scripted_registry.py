"""A registry in this process that does what a test tells it, good or hostile.

Without a script it is a small correct registry in memory; `tests/contract` holds it to what the
real one does. A fault is a function that answers one request in place of the registry.
"""

import contextlib
import re
import socket
import ssl
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MANIFEST_TYPE
from support.artifacts import made

_MANIFEST = re.compile(r"/v2/(.+)/manifests/([^/]+)")
_BLOB = re.compile(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
_UPLOADS = re.compile(r"/v2/(.+)/blobs/uploads/(\d*)")

Fault = Callable[["Handler"], None]


@dataclass
class ScriptedRegistry:
    """Its content, its script, and what it was asked."""

    host: str
    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """``repository:tag`` or ``repository@digest`` to content and media type."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    """Part of a path to what answers the next requests for it, first come first served."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers of every request."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, name: str, weights: bytes) -> None:
        """Have a model with these weights, by its name (``a/b:1``) and by its digest."""
        content, blobs = made(weights)
        stored = (content, MANIFEST_TYPE)
        repository = name.rpartition(":")[0]
        self.manifests |= {name: stored, f"{repository}@{Digest.of(content)}": stored}
        self.blobs |= {each.digest: blob for each, blob in blobs}

    def headers_of(self, method: str, part: str) -> list[dict[str, str]]:
        """The headers of every request of this method whose path contains `part`."""
        return [headers for each, path, headers in self.requests if each == method and part in path]

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for part, script in self.faults.items():
                if script and part in f"{method} {path}":
                    return script.pop(0)
        return None


class Handler(BaseHTTPRequestHandler):
    """One request; faults get it to answer with."""

    registry: ScriptedRegistry

    def do_GET(self) -> None:
        fault = self._next_fault()
        if fault is not None:
            fault(self)
        else:
            self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_CONNECT = do_GET  # noqa: N815 - names of the base class

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer; underscores in names of headers stand for dashes."""
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in ({"Content-Length": str(len(body))} | named).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def blob(self) -> bytes:
        """The blob that the path names."""
        match = _BLOB.fullmatch(urlsplit(self.path).path)
        assert match is not None
        return self.registry.blobs[match[2]]

    def log_message(self, *_args: Any) -> None:
        pass

    def _next_fault(self) -> Fault | None:
        self.registry.requests.append((self.command, self.path, dict(self.headers)))
        return self.registry.fault(self.command, self.path)

    def _serve(self) -> None:
        path = urlsplit(self.path).path
        for pattern, serve in (
            (_MANIFEST, self._serve_manifest),
            (_BLOB, self._serve_blob),
            (_UPLOADS, self._serve_upload),
        ):
            match = pattern.fullmatch(path)
            if match is not None:
                serve(match)
                return
        self.reply(404)

    def _serve_manifest(self, match: "re.Match[str]") -> None:
        name, target = match.groups()
        if self.command == "PUT":
            content = self.rfile.read(int(self.headers["Content-Length"]))
            stored = (content, self.headers["Content-Type"])
            self.registry.manifests[f"{name}:{target}"] = stored
            self.registry.manifests[f"{name}@{Digest.of(content)}"] = stored
            self.reply(201, Docker_Content_Digest=Digest.of(content))
            return
        separator = "@" if target.startswith("sha256:") else ":"
        found = self.registry.manifests.get(f"{name}{separator}{target}")
        if found is None:
            self.reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}')
            return
        digest = Digest.of(found[0])
        self.reply(200, found[0], Content_Type=found[1], Docker_Content_Digest=digest)

    def _serve_blob(self, match: "re.Match[str]") -> None:
        content = self.registry.blobs.get(match[2])
        if content is None:
            self.reply(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"unknown"}]}')
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self.reply(200, content)
            return
        start = int(asked[1])
        if start >= len(content):
            self.reply(416)
            return
        end = min(int(asked[2] or len(content)), len(content) - 1) + 1
        part = f"bytes {start}-{end - 1}/{len(content)}"
        self.reply(206, content[start:end], Content_Range=part)

    def _serve_upload(self, match: "re.Match[str]") -> None:
        name, number = match.groups()
        uploads = self.registry.uploads
        if self.command == "POST":
            number = str(len(uploads) + 1)
            uploads[number] = b""
        elif self.command in {"PATCH", "PUT"}:
            self._take(number, int(self.headers["Content-Length"]))
        if self.command == "PUT":
            [digest] = parse_qs(urlsplit(self.path).query)["digest"]
            if Digest.of(uploads[number]) != digest:
                self.reply(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"other bytes"}]}')
                return
            self.registry.blobs[digest] = uploads[number]
            self.reply(201)
            return
        status = 204 if self.command == "GET" else 202
        kept = f"0-{max(0, len(uploads[number]) - 1)}"
        self.reply(status, Location=f"/v2/{name}/blobs/uploads/{number}?state=x", Range=kept)

    def _take(self, number: str, n_bytes: int) -> None:
        """Append a body to an upload."""
        self.registry.uploads[number] += self.rfile.read(n_bytes)

    def take_and_break_off(self, n_bytes: int) -> None:
        """Append that much of the body to its upload and hang up, as a broken connection would."""
        number = urlsplit(self.path).path.rsplit("/", 1)[1]
        self._take(number, n_bytes)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, *_args: Any) -> None:
        """Say nothing: clients that refuse us or give up are what tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(*_args)


@contextlib.contextmanager
def scripted_registry(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedRegistry]:
    """Run one on loopback until the block ends."""

    class Bound(Handler):
        pass

    server = _Server(("127.0.0.1", 0), Bound)
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    Bound.registry = ScriptedRegistry(f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield Bound.registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
