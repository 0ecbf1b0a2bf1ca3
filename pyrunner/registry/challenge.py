"""``WWW-Authenticate``: which scheme a registry wants, and where its token server is."""

import re
from dataclasses import dataclass

_MAX_HEADER = 8192
_SCHEME = re.compile(
    r"(?:^|,)\s*(Bearer|Basic)\s+(?=[a-z])|(?:^|,)\s*(Basic)\s*(?=,|$)", re.IGNORECASE
)
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"([^"]*)"|([^\s",]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate that a registry offers."""

    is_bearer: bool
    realm: str = ""
    """URL of the token server, for bearer tokens."""
    service: str = ""
    scope: str = ""
    """What a token has to allow, as the registry sees it: scopes with spaces between."""


def parse_challenge(header: str) -> Challenge | None:
    """The first scheme of the header that we speak; bearer tokens are preferred.

    Returns:
        None when there is none, or the header is longer than 8 KiB.
    """
    if len(header) > _MAX_HEADER:
        return None
    starts = list(_SCHEME.finditer(header))
    found: dict[bool, Challenge] = {}
    for i, start in enumerate(starts):
        end = starts[i + 1].start() if i + 1 < len(starts) else len(header)
        is_bearer = (start[1] or start[2]).lower() == "bearer"
        given = {
            name.lower(): quoted or plain
            for name, quoted, plain in _PARAMETER.findall(header[start.end() : end])
        }
        challenge = Challenge(
            is_bearer, given.get("realm", ""), given.get("service", ""), given.get("scope", "")
        )
        found.setdefault(is_bearer, challenge)
    bearer = found.get(True)
    return bearer if bearer is not None and bearer.realm else found.get(False)
