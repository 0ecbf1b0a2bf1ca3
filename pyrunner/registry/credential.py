"""A name and a secret for one registry, and nothing that prints the secret."""

import base64
from dataclasses import dataclass, field

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


def encode_pair(username: str, secret: str) -> str:
    """``username:secret`` in base64, as HTTP and ``config.json`` want it."""
    return base64.b64encode(f"{username}:{secret}".encode()).decode()
