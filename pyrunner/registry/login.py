"""Whether a registry accepts a credential, asked before it is kept."""

import threading
from dataclasses import dataclass

from pyrunner.config import RegistryConfig
from pyrunner.errors import RegistryAuthError, RegistryProtocolError
from pyrunner.registry.access import Access
from pyrunner.registry.challenge import Challenge, parse_challenge
from pyrunner.registry.credential import Credential
from pyrunner.registry.hosts import base_url, is_same_origin
from pyrunner.registry.token_exchange import TokenExchange
from pyrunner.registry.transport import Request, Response, Transport


@dataclass(frozen=True, slots=True)
class Login:
    """What a registry said to a credential."""

    credential: Credential
    """To be kept: an identity token in place of the password when the token server gives one."""
    is_verified: bool
    """The registry looked at it; one that lets everybody in does not."""


def log_in(config: RegistryConfig, registry: str, credential: Credential) -> Login:
    """Show a credential to a registry.

    Args:
        config: Time limits, attempts, hosts without TLS.
        registry: ``host`` or ``host:port``.
        credential: A name and a password.

    Raises:
        RegistryAuthError: The registry or its token server refuses it.
        RegistryProtocolError: It is no registry, or its token server is one we do not talk to.
        RegistryUnavailableError: It cannot be reached.
    """
    transport = Transport(config)
    try:
        url = f"{base_url(registry, config.insecure)}/v2/"
        challenge = _challenge(transport, registry, url)
        if challenge is None:
            return Login(credential, is_verified=False)
        kept, header = credential, credential.basic
        if challenge.is_bearer:
            token = TokenExchange(config, transport).ask(
                challenge, credential, Access(registry), threading.Event(), wants_identity=True
            )
            header = token.bearer
            if token.identity:
                kept = Credential(credential.username, token.identity, is_identity_token=True)
        with _get(transport, registry, url, header) as response:
            _check(registry, response)
        return Login(kept, is_verified=True)
    finally:
        transport.close()


def _challenge(transport: Transport, registry: str, url: str) -> Challenge | None:
    """What the registry wants to see, None when it lets everybody in."""
    with _get(transport, registry, url, None) as response:
        if response.status != 401:
            _check(registry, response)
            return None
        challenge = parse_challenge(response.headers.get("WWW-Authenticate", ""))
        if challenge is None or not is_same_origin(url, response.url):
            raise RegistryAuthError(registry=registry, repository="", status=401)
        return challenge


def _get(transport: Transport, registry: str, url: str, header: str | None) -> Response:
    headers = {} if header is None else {"Authorization": header}
    request = Request(method="GET", url=url, registry=registry, headers=headers)
    return transport.send(request, threading.Event())


def _check(registry: str, response: Response) -> None:
    if response.status in {401, 403}:
        raise RegistryAuthError(registry=registry, repository="", status=response.status)
    if response.status != 200:
        raise RegistryProtocolError(
            registry=registry, problem=f"HTTP {response.status} where a registry says who it is"
        )
