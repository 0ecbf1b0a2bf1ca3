"""A token server of Docker's kind: signs what a registry trusts, in this process.

Signing is done by the ``openssl`` program, so the tests need no cryptography package.
"""

import base64
import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

from pyrunner.registry.auth import Credential
from support.debian_registry import PASSWORD, USER

ISSUER, SERVICE = "test-issuer", "test-registry"
IDENTITY_TOKEN = "identity-of-user"


@dataclass
class TokenServer:
    """What it was asked, and how it answers."""

    url: str
    folder: Path
    """Its key and its certificate."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and scopes of each request, with a space between them."""
    lifetime_s: int = 300
    """Negative: every token has expired before it is used."""
    says_lifetime: bool = False
    """Whether ``expires_in`` is in the answers."""
    gives_identity: bool = True
    """Whether the user gets `IDENTITY_TOKEN` on asking for an offline token."""

    def give(self, scope: str) -> str:
        """A token of the user, as somebody who logged in elsewhere has it."""
        query = urlencode({"service": SERVICE, "scope": scope})
        headers = {"Authorization": Credential(USER, PASSWORD).basic}
        with urlopen(Request(f"{self.url}?{query}", headers=headers)) as answer:
            return str(json.load(answer)["token"])

    def auth_section(self) -> str:
        """The ``auth`` section of a registry that trusts it."""
        return (
            f"auth: {{token: {{realm: '{self.url}', service: {SERVICE}, issuer: {ISSUER}, "
            f"rootcertbundle: {self.folder / 'cert.pem'}}}}}\n"
        )


@contextlib.contextmanager
def running_token_server(folder: Path) -> Iterator[TokenServer]:
    """Anybody may pull; `USER` with `PASSWORD` or `IDENTITY_TOKEN` may push too."""
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2"),
        *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
    )
    certificate = _openssl("x509", "-in", str(folder / "cert.pem"), "-outform", "DER")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fields = parse_qs(urlsplit(self.path).query)
            given = self.headers.get("Authorization")
            if given not in {None, Credential(USER, PASSWORD).basic}:
                self.send_error(401)
                return
            self._grant(fields, can_push=given is not None)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fields = parse_qs(body)
            if fields["refresh_token"] != [IDENTITY_TOKEN]:
                self.send_error(401)
                return
            self._grant(fields, can_push=True)

        def _grant(self, fields: dict[str, list[str]], *, can_push: bool) -> None:
            assert fields["service"] == [SERVICE]
            scopes = " ".join(fields.get("scope", [])).split()
            server.asked.append((self.command, " ".join(scopes)))
            claims = _claims(scopes, server, can_push=can_push)
            answer: dict[str, Any] = {"token": _sign(claims, certificate, folder)}
            if server.says_lifetime:
                answer["expires_in"] = server.lifetime_s
            if server.gives_identity and can_push and fields.get("offline_token") == ["true"]:
                answer["refresh_token"] = IDENTITY_TOKEN
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.daemon_threads = False
    server = TokenServer(f"http://127.0.0.1:{http_server.server_port}/token", folder)
    thread = threading.Thread(target=http_server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        http_server.shutdown()
        http_server.server_close()
        thread.join(10)


def _claims(scopes: list[str], server: TokenServer, *, can_push: bool) -> dict[str, Any]:
    now = int(time.time())
    access = []
    for scope in scopes:
        kind, name, actions = scope.split(":")
        allowed = [each for each in actions.split(",") if can_push or each == "pull"]
        access.append({"type": kind, "name": name, "actions": allowed})
    return {
        "iss": ISSUER,
        "sub": USER,
        "aud": SERVICE,
        "exp": now + server.lifetime_s,
        "nbf": now - 600,
        "iat": now - 600,
        "jti": str(len(server.asked)),
        "access": access,
    }


def _sign(claims: dict[str, Any], certificate: bytes, folder: Path) -> str:
    header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(certificate).decode()]}
    signed = b".".join(_base64url(json.dumps(each).encode()) for each in (header, claims))
    signature = _openssl("dgst", "-sha256", "-sign", str(folder / "key.pem"), content=signed)
    return b".".join((signed, _base64url(signature))).decode()


def _base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _openssl(*arguments: str, content: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *arguments], input=content, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
