"""A real HTTP server in this process that answers what a test scripted, in the API's shapes."""

import contextlib
import json
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pyrunner.cli.address import Address


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What one route answers; `chunks` are sent one by one, and cut off without an end on wish."""

    status: int = 200
    content_type: str = "application/json"
    chunks: Iterable[bytes] = ()
    is_cut_off: bool = False


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class ApiServer:
    """Routes by ``METHOD /path`` (no query); an unknown one is 404 ``not found``."""

    address: Address
    routes: dict[str, Callable[[Seen], Reply]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def answer(self, route: str, value: object = None, **reply: Any) -> None:
        """Script one route with a JSON value or the fields of a `Reply`."""
        fixed = Reply(**({"chunks": [json.dumps(value).encode() + b"\n"]} | reply))
        self.routes[route] = lambda _: fixed


def sse(*events: object) -> list[bytes]:
    """Chunks of a stream of server-sent events that ends as OpenAI's do."""
    texts = [json.dumps(event) for event in events]
    return [f"data: {text}\n\n".encode() for text in (*texts, "[DONE]")]


def delta(**fields: str) -> dict[str, Any]:
    """A chunk of a streamed chat."""
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": fields}]}


@contextlib.contextmanager
def listening(socket_path: Path | None = None) -> Iterator[ApiServer]:
    """Serve on a free TCP port, or on a Unix socket, until the block is left."""
    script = ApiServer(Address())
    handler = type("Handler", (_Handler,), {"script": script})
    if socket_path is None:
        server: socketserver.BaseServer = (tcp := ThreadingHTTPServer(("127.0.0.1", 0), handler))
        script.address = Address(host="127.0.0.1", port=tcp.server_port)
    else:
        server = _UnixServer(str(socket_path), handler)
        script.address = Address(socket_path=str(socket_path))
    script.routes["GET /"] = lambda _: Reply(chunks=[b"Docker Model Runner is running"])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="api-server")
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass


class _Handler(BaseHTTPRequestHandler):
    script: ApiServer
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(text) if text else None
        seen = Seen(self.command, self.path, dict(self.headers), body)
        self.script.seen.append(seen)
        route = f"{self.command} {self.path.partition('?')[0]}"
        missing = Reply(status=404, content_type="text/plain", chunks=[b"not found\n"])
        script = self.script.routes.get(route)
        reply = missing if script is None else script(seen)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for chunk in reply.chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            if not reply.is_cut_off:
                self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the names the parent calls

    def address_string(self) -> str:
        return "client"

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the parent's
        del format, arguments
