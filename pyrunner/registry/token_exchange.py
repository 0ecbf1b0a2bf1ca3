"""One question to a token server: a credential goes in, a token comes out.

Two dialects: Docker's ``GET`` with a password or nothing, and OAuth2's ``POST`` with an identity
token (distribution/distribution, ``docs/spec/auth/token.md`` and ``oauth.md``).
"""

import threading
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import msgspec

from pyrunner.config import RegistryConfig
from pyrunner.errors import RegistryAuthError, RegistryProtocolError
from pyrunner.registry.access import Access
from pyrunner.registry.challenge import Challenge
from pyrunner.registry.credential import Credential, bearer
from pyrunner.registry.hosts import check_realm
from pyrunner.registry.transport import Body, BytesBody, Request, Transport

DEFAULT_LIFETIME_S = 60.0
"""How long a token is good when its server does not say: the specification's number."""
_MAX_LIFETIME_S = 30 * 86400.0
_MAX_ANSWER_BYTES = 256 * 1024
_CLIENT_ID = "pyrunner"


@dataclass(frozen=True, slots=True)
class Token:
    """What a token server gave; printing it shows no secret."""

    text: str = field(repr=False)
    lifetime_s: float
    """Seconds from when it was asked for."""
    identity: str = field(repr=False)
    """An identity token to ask with next time, empty when none was asked for or given."""

    @property
    def bearer(self) -> str:
        """The value of an ``Authorization`` header."""
        return bearer(self.text)


class _Answer(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    refresh_token: str | None = None
    expires_in: msgspec.Raw = msgspec.Raw(b"null")
    """Servers write numbers, numbers in quotes, and worse."""


class TokenExchange:
    """Asks token servers. Any thread."""

    def __init__(self, config: RegistryConfig, transport: Transport) -> None:
        self._config = config
        self._transport = transport

    def ask(
        self,
        challenge: Challenge,
        credential: Credential | None,
        access: Access,
        cancelled: threading.Event,
        *,
        wants_identity: bool = False,
    ) -> Token:
        """Get the token that a challenge asks for.

        Args:
            challenge: What the registry said.
            credential: Whose token; None asks as anybody.
            access: What it shall allow.
            cancelled: Ends waiting.
            wants_identity: Ask for an identity token too, to keep in place of a password.

        Raises:
            RegistryAuthError: The token server refused.
            RegistryProtocolError: The token server is one we do not talk to, or talks nonsense.
            RegistryUnavailableError: It cannot be reached.
        """
        check_realm(challenge.realm, registry=access.registry, insecure=self._config.insecure)
        fields = [("service", challenge.service)] if challenge.service else []
        if credential is not None and credential.is_identity_token:
            request = _with_identity(challenge.realm, credential, access, fields, challenge.scope)
        else:
            fields += [("scope", each) for each in access.scopes(challenge.scope)]
            if wants_identity:
                fields += [("offline_token", "true"), ("client_id", _CLIENT_ID)]
            request = _with_password(challenge.realm, credential, access, fields)
        with self._transport.send(request, cancelled) as response:
            if response.status in {400, 401, 403}:
                raise RegistryAuthError(
                    registry=access.registry, repository=access.repository, status=response.status
                )
            content = response.read(_MAX_ANSWER_BYTES) if response.status == 200 else b""
        return _token(content, access.registry, response.status)


def _with_identity(
    realm: str,
    credential: Credential,
    access: Access,
    fields: list[tuple[str, str]],
    asked: str,
) -> Request:
    scopes = access.scopes(asked)
    form = [
        *fields,
        ("grant_type", "refresh_token"),
        ("client_id", _CLIENT_ID),
        ("refresh_token", credential.secret),
        *([("scope", " ".join(scopes))] if scopes else []),
    ]
    content = urlencode(form).encode()

    def make_body() -> Body:
        return BytesBody(content)

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request(
        method="POST", url=realm, registry=access.registry, headers=headers, make_body=make_body
    )


def _with_password(
    realm: str, credential: Credential | None, access: Access, fields: list[tuple[str, str]]
) -> Request:
    headers = {}
    if credential is not None:
        fields = [*fields, ("account", credential.username)]
        headers["Authorization"] = credential.basic
    separator = "&" if urlsplit(realm).query else "?"
    url = f"{realm}{separator}{urlencode(fields)}" if fields else realm
    return Request(method="GET", url=url, registry=access.registry, headers=headers)


def _token(content: bytes, registry: str, status: int) -> Token:
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = _Answer()
    text = answer.token or answer.access_token
    if not text or not text.isascii() or not text.isprintable():
        raise RegistryProtocolError(
            registry=registry, problem=f"no token from its token server (HTTP {status})"
        )
    return Token(text, _lifetime_s(answer.expires_in), answer.refresh_token or "")


def _lifetime_s(said: msgspec.Raw) -> float:
    try:
        lifetime_s = msgspec.json.decode(said, type=float, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return DEFAULT_LIFETIME_S
    # A comparison with "nan" is false, so it counts as unsaid.
    return min(lifetime_s, _MAX_LIFETIME_S) if lifetime_s > 0 else DEFAULT_LIFETIME_S
