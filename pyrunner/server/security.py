"""Who may talk to us from a browser: the `Host` and `Origin` of a request.

Any web page can send requests to 127.0.0.1. The `Origin` rule stops pages that say who they are;
the `Host` rule stops those that rebind a name of their own to our address and so look like us.
Pictures, scripts and links of a page come without `Origin`; browsers mark them with
`Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/).
"""

import ipaddress
import re
from collections.abc import Iterable

import falcon

from pyrunner.server.errors import deny

UNIX_SOCKET_KEY = "pyrunner.is_unix_socket"
"""Set in the environment of requests that came over the Unix socket, which no browser reaches."""

DOCKER_NAMES = frozenset({"model-runner.docker.internal", "host.docker.internal"})
"""How containers call this machine."""

_WAY_OUT = "Host not allowed; allow a name with: pyrunner serve --allow-host NAME"
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+)(?::\d{1,5})?")
_LOOPBACK_ORIGIN_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0", "[::1]")  # noqa: S104  # text


class HostRule:
    """Which names in the `Host` header mean us.

    Args:
        bound: The address the TCP listener was given. Bound to every address, any IP literal is
            us: rebinding needs a name.
        names: Further names from the settings, lower case or not.
    """

    def __init__(self, *, bound: str, names: Iterable[str] = ()) -> None:
        self._names = DOCKER_NAMES | {"localhost"} | {name.lower().rstrip(".") for name in names}
        self._names |= {bound.lower()}
        address = _address(bound)
        self._accepts_any_address = not bound or (address is not None and address.is_unspecified)

    def allows(self, header: str | None) -> bool:
        """Whether a `Host` header's value, with or without a port, names us."""
        match = _AUTHORITY.fullmatch((header or "").strip())
        if match is None:
            return False
        name = match[1].strip("[]").lower().rstrip(".")
        address = _address(name)
        if address is not None and (self._accepts_any_address or address.is_loopback):
            return True
        return name in self._names


class OriginRule:
    """Which web origins may use the API.

    Loopback's, on any port, and those of the settings: ``https://example.com``,
    ``http://localhost:*`` for any port, ``*`` for all.
    """

    def __init__(self, origins: Iterable[str] = ()) -> None:
        given = [origin.strip().lower().rstrip("/") for origin in origins]
        loopback = [f"{s}://{h}" for s in ("http", "https") for h in _LOOPBACK_ORIGIN_HOSTS]
        self._accepts_all = "*" in given
        self._exact = frozenset(given) | frozenset(loopback)
        any_port = [origin.removesuffix(":*") for origin in given if origin.endswith(":*")]
        self._any_port = frozenset(any_port) | frozenset(loopback)

    def allows_unnamed(self, site: str | None) -> bool:
        """Whether a request without `Origin` may go on.

        Args:
            site: The value of `Sec-Fetch-Site`; None for programs and old browsers.
        """
        return self._accepts_all or site != "cross-site"

    def allows(self, origin: str, host: str | None) -> bool:
        """Whether pages of `origin` may talk to us.

        Args:
            origin: The header's value; ``null`` is an origin like any other.
            host: The request's own `Host`, already allowed: a page we served may call us.
        """
        origin = origin.strip().lower()
        if self._accepts_all or origin in self._exact:
            return True
        scheme, _, authority = origin.partition("://")
        if scheme in ("http", "https") and host and authority == host.strip().lower():
            return True
        without_port, colon, port = origin.rpartition(":")
        return bool(colon) and port.isdecimal() and without_port in self._any_port


class SecurityMiddleware:
    """Applies both rules to every request before it is routed."""

    def __init__(self, hosts: HostRule, origins: OriginRule) -> None:
        self._hosts = hosts
        self._origins = origins

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 403, or a preflight, or let the request through with CORS headers."""
        resp.append_header("Vary", "Origin")
        host = req.get_header("Host")
        if not req.env.get(UNIX_SOCKET_KEY) and not self._hosts.allows(host):
            deny(req, resp, _WAY_OUT, "host_not_allowed")
            return
        origin = req.get_header("Origin")
        if origin is None:
            if req.method == "OPTIONS":
                raise falcon.HTTPRouteNotFound
            # A link to the root is harmless, and what people click.
            if req.path != "/" and not self._origins.allows_unnamed(
                req.get_header("Sec-Fetch-Site")
            ):
                deny(req, resp, "Origin not allowed", "origin_not_allowed")
            return
        if not self._origins.allows(origin, host):
            deny(req, resp, "Origin not allowed", "origin_not_allowed")
            return
        resp.set_header("Access-Control-Allow-Origin", origin)
        if req.method == "OPTIONS":
            _answer_preflight(req, resp)


def _answer_preflight(req: falcon.Request, resp: falcon.Response) -> None:
    # A star does not cover Authorization, which every OpenAI client in a browser sends.
    asked = req.get_header("Access-Control-Request-Headers")
    resp.set_header("Access-Control-Allow-Credentials", "true")
    resp.set_header("Access-Control-Allow-Methods", "GET, POST, DELETE")
    resp.set_header("Access-Control-Allow-Headers", asked or "*")
    if asked:
        resp.append_header("Vary", "Access-Control-Request-Headers")
    resp.status = 204
    resp.complete = True


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
