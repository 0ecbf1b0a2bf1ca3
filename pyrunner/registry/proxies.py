"""What is wrong with a proxy that the environment names, said to whoever set it."""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import urllib3

from pyrunner.config import environment_value
from pyrunner.errors import ConfigError

_SCHEMES = frozenset({None, "http", "https"})
_USER = re.compile(r"^([a-z][a-z0-9+.-]*://)?.*@", re.IGNORECASE | re.DOTALL)


def proxy_fault(url: str, proxies: Mapping[str, str]) -> ConfigError | None:
    """The error of the proxy that a URL is asked for through, None when nothing is wrong with it.

    Only its address is looked at, nobody is asked. The error never shows a name or password.

    Args:
        url: An absolute one.
        proxies: ``http``, ``https`` and ``all`` to an address, as far as they are set.
    """
    for key in (urlsplit(url).scheme, "all"):
        address = proxies.get(key)
        if address is not None:
            problem = _problem(address)
            shown = repr(_USER.sub(r"\1", address)[:200])
            error = ConfigError(
                key=_variable(key), source="environment", problem=f"{shown} {problem}"
            )
            return error if problem else None
    return None


def _problem(address: str) -> str:
    try:
        parts = urllib3.util.parse_url(address)
        if (parts.scheme or "").startswith("socks"):
            return "is a SOCKS proxy, and only HTTP proxies can be used"
        is_one = parts.scheme in _SCHEMES and bool((parts.host or "").encode("idna"))
    except (urllib3.exceptions.LocationParseError, UnicodeError):
        is_one = False
    if not is_one:
        return "is no address of an HTTP proxy like http://proxy.example:3128"
    try:
        unquote(parts.auth or "").encode("latin-1")
    except UnicodeError:
        return "has a name or password before it that HTTP cannot send"
    return ""


def _variable(key: str) -> str:
    name = f"{key}_proxy"  # in small letters it comes first
    return name if environment_value(name) else name.upper()
