"""From a registry's challenge to an ``Authorization`` header, cached per repository and action."""

import threading
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

from pyrunner.config import RegistryConfig
from pyrunner.errors import RegistryAuthError, RegistryProtocolError
from pyrunner.registry.auth import Credential
from pyrunner.registry.challenge import Challenge
from pyrunner.registry.hosts import check_realm
from pyrunner.registry.reference import Reference
from pyrunner.registry.transport import Body, BytesBody, Request, Transport

_MAX_ANSWER_BYTES = 256 * 1024
_CLIENT_ID = "pyrunner"


class CredentialSource(Protocol):
    """Where credentials come from."""

    def find(self, registry: str) -> Credential | None:
        """The credential for a host, None when there is none."""


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


class Authorizer:
    """Headers that open repositories. Any thread; the lock guards `_headers`."""

    def __init__(
        self, config: RegistryConfig, transport: Transport, credentials: CredentialSource
    ) -> None:
        self._config = config
        self._transport = transport
        self._credentials = credentials
        self._lock = threading.Lock()
        self._headers: dict[tuple[str, str], str] = {}

    def header(self, reference: Reference, actions: str) -> str | None:
        """What opened this repository last time."""
        with self._lock:
            return self._headers.get((reference.name, actions))

    def answer(
        self, challenge: Challenge, reference: Reference, actions: str, cancelled: threading.Event
    ) -> str | None:
        """Make the header that a challenge asks for, and remember it.

        Args:
            challenge: What the registry said.
            reference: The repository to open.
            actions: ``pull`` or ``pull,push``.
            cancelled: Ends waiting.

        Returns:
            None when the registry wants a password and there is none.

        Raises:
            RegistryAuthError: The token server refused.
            RegistryProtocolError: The token server is one we do not talk to, or talks nonsense.
            RegistryUnavailableError: It cannot be reached.
        """
        credential = self._credentials.find(reference.registry)
        if challenge.is_bearer:
            header = self._bearer(challenge, credential, reference, actions, cancelled)
        elif credential is None or credential.is_identity_token:
            return None
        else:
            header = credential.basic
        with self._lock:
            self._headers[reference.name, actions] = header
        return header

    def _bearer(
        self,
        challenge: Challenge,
        credential: Credential | None,
        reference: Reference,
        actions: str,
        cancelled: threading.Event,
    ) -> str:
        registry = reference.registry
        check_realm(challenge.realm, registry=registry, insecure=self._config.insecure)
        fields = {
            "service": challenge.service,
            "scope": f"repository:{reference.repository}:{actions}",
        }
        request = _token_request(challenge.realm, credential, registry, fields)
        with self._transport.send(request, cancelled) as response:
            if response.status in {400, 401, 403}:
                raise RegistryAuthError(
                    registry=registry, repository=reference.repository, status=response.status
                )
            content = response.read(_MAX_ANSWER_BYTES) if response.status == 200 else b""
        try:
            answer = msgspec.json.decode(content, type=_Token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = _Token()
        token = answer.token or answer.access_token
        if not token or not token.isascii() or not token.isprintable():
            raise RegistryProtocolError(
                registry=registry,
                problem=f"no token from its token server (HTTP {response.status})",
            )
        return f"Bearer {token}"


def _token_request(
    realm: str, credential: Credential | None, registry: str, fields: dict[str, str]
) -> Request:
    if credential is not None and credential.is_identity_token:
        fields |= {
            "grant_type": "refresh_token",
            "client_id": _CLIENT_ID,
            "refresh_token": credential.secret,
        }
        form = urlencode(fields).encode()

        def make_body() -> Body:
            return BytesBody(form)

        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request(
            method="POST", url=realm, registry=registry, headers=headers, make_body=make_body
        )
    separator = "&" if urlsplit(realm).query else "?"
    url = f"{realm}{separator}{urlencode({k: v for k, v in fields.items() if v})}"
    headers = {"Authorization": credential.basic} if credential else {}
    return Request(method="GET", url=url, registry=registry, headers=headers)
