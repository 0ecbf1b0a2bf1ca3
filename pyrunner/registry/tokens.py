"""From a registry's challenge to an ``Authorization`` header, kept until it expires."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pyrunner.config import RegistryConfig
from pyrunner.errors import RegistryUnavailableError
from pyrunner.registry.access import Access
from pyrunner.registry.challenge import Challenge
from pyrunner.registry.credential import Credential, GivenToken, bearer
from pyrunner.registry.token_exchange import TokenExchange
from pyrunner.registry.transport import Transport

_MARGIN_S = 10.0
"""A token is replaced this long before it expires, or after half of a shorter life."""
_POLL_S = 0.05


class CredentialSource(Protocol):
    """Where credentials come from."""

    def find(self, registry: str) -> Credential | None:
        """The credential for a host, None when there is none."""


@dataclass(frozen=True, slots=True)
class _Grant:
    header: str = field(repr=False)
    challenge: Challenge
    good_until: float
    """By the clock; a request that is sent before is expected to be let in."""


class Authorizer:
    """Headers that open repositories. Any thread; `_changed` guards `_grants` and `_asking`.

    Args:
        config: Which hosts are spoken to without TLS.
        transport: Reaches token servers.
        credentials: Whose names and passwords.
        clock: Seconds, monotonic.
        token: Sent to its registry as it is; no credential and no token server is asked for one.
    """

    def __init__(
        self,
        config: RegistryConfig,
        transport: Transport,
        credentials: CredentialSource,
        clock: Callable[[], float] = time.monotonic,
        *,
        token: GivenToken | None = None,
    ) -> None:
        self._exchange = TokenExchange(config, transport)
        self._credentials = credentials
        self._token = token
        self._clock = clock
        self._changed = threading.Condition()
        self._grants: dict[Access, _Grant] = {}
        self._asking: set[Access] = set()

    def header(self, access: Access, cancelled: threading.Event) -> str | None:
        """What opened the repository last time, with a new token when the last one is running out.

        A body that is on its way for minutes is not sent in vain with a token about to expire.

        Raises:
            RegistryAuthError: The token server gives no new one.
            RegistryUnavailableError: It cannot be reached.
        """
        with self._changed:
            grant = self._grants.get(access)
        if grant is None or self._clock() < grant.good_until:
            return grant.header if grant else None
        return self.answer(grant.challenge, access, grant.header, cancelled)

    def answer(
        self,
        challenge: Challenge,
        access: Access,
        refused: str | None,
        cancelled: threading.Event,
    ) -> str | None:
        """Make the header that a challenge asks for, and remember it.

        Threads that are refused at the same time ask for one token together.

        Args:
            challenge: What the registry said.
            access: What the request needs.
            refused: The header it was sent with.
            cancelled: Ends waiting.

        Returns:
            None when the registry wants a password and there is none.

        Raises:
            RegistryAuthError: The token server refused.
            RegistryProtocolError: The token server is one we do not talk to, or talks nonsense.
            RegistryUnavailableError: It cannot be reached, or cancelled.
        """
        with self._changed:
            while access in self._asking:
                if cancelled.is_set():
                    raise RegistryUnavailableError(registry=access.registry, problem="cancelled")
                self._changed.wait(_POLL_S)
            grant = self._grants.get(access)
            if grant and grant.header != refused and self._clock() < grant.good_until:
                return grant.header
            self._asking.add(access)
        grant = None
        try:
            grant = self._grant(challenge, access, cancelled)
        finally:
            with self._changed:
                self._asking.remove(access)
                if grant is not None:
                    self._grants[access] = grant
                self._changed.notify_all()
        return grant.header if grant else None

    def _grant(
        self, challenge: Challenge, access: Access, cancelled: threading.Event
    ) -> _Grant | None:
        if self._token is not None and self._token.registry == access.registry:
            return _Grant(bearer(self._token.text), challenge, math.inf)
        credential = self._credentials.find(access.registry)
        if not challenge.is_bearer:
            if credential is None or credential.is_identity_token:
                return None
            return _Grant(credential.basic, challenge, math.inf)
        asked_at = self._clock()
        token = self._exchange.ask(challenge, credential, access, cancelled)
        margin_s = min(_MARGIN_S, token.lifetime_s / 2)
        return _Grant(token.bearer, challenge, asked_at + token.lifetime_s - margin_s)
