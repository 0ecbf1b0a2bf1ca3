"""A name and a secret, or a token, for one registry, and nothing that prints it."""

import base64
from dataclasses import dataclass, field

MAX_TOKEN = 16 * 1024
"""Characters of the longest token that is sent; some registries list rights in theirs."""
IDENTITY_USER = "<token>"
"""What Docker calls the user when the secret is an identity token."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A name and a secret for one registry; printing it shows no secret."""

    username: str
    secret: str = field(repr=False)
    is_identity_token: bool = False
    """The secret is an OAuth2 refresh token, not a password."""

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header."""
        return f"Basic {encode_pair(self.username, self.secret)}"


@dataclass(frozen=True, slots=True)
class GivenToken:
    """A token that its owner gave for one request; printing it shows no secret."""

    registry: str
    """The only host that gets it."""
    text: str = field(repr=False)
    """`is_token` is true of it."""


def is_token(text: str) -> bool:
    """Whether a text can be sent as a token: printable ASCII, no spaces, at most `MAX_TOKEN`."""
    return 0 < len(text) <= MAX_TOKEN and all("!" <= each <= "~" for each in text)


def bearer(token: str) -> str:
    """The value of an ``Authorization`` header with a token."""
    return f"Bearer {token}"


def encode_pair(username: str, secret: str) -> str:
    """``username:secret`` in base64, as HTTP and ``config.json`` want it."""
    return base64.b64encode(f"{username}:{secret}".encode()).decode()
