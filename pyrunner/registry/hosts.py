"""Which hosts are spoken to, and how: pure decisions on names and addresses."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

from pyrunner.errors import RegistryProtocolError
from pyrunner.registry.reference import DOCKER_HUB, HUB_ENDPOINT

_LOCAL_NAMES = frozenset(
    {
        "localhost",
        "host.docker.internal",
        "model-runner.docker.internal",
        "gateway.docker.internal",
    }
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def base_url(registry: str, insecure: Iterable[str]) -> str:
    """Scheme and host of a registry's API: HTTPS, except for loopback and `insecure` hosts."""
    host = HUB_ENDPOINT if registry == DOCKER_HUB else registry
    return f"{'http' if is_plain_http(registry, insecure) else 'https'}://{host}"


def is_plain_http(registry: str, insecure: Iterable[str]) -> bool:
    """Whether a registry (``host`` or ``host:port``) may be spoken to without TLS."""
    host = urlsplit(f"//{registry}").hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return (address is not None and address.is_loopback) or registry in insecure or host in insecure


def is_same_origin(first: str, second: str) -> bool:
    """Whether credentials for one URL may be sent to the other."""
    return _origin(first) == _origin(second)


def redirect_target(source: str, location: str, *, registry: str) -> str:
    """Where a ``Location`` leads, refusing one that leaves HTTP(S) or drops TLS.

    Raises:
        RegistryProtocolError: It does, or is no address.
    """
    try:
        target = urljoin(source, location)
        (old, _, _), (new, _, _) = _origin(source), _origin(target)
    except ValueError as error:  # brackets, ports, characters that an address cannot have
        raise RegistryProtocolError(
            registry=registry, problem=f"a redirect to no address ({error})"
        ) from error
    if new not in _DEFAULT_PORTS or (old == "https" and new == "http"):
        raise RegistryProtocolError(
            registry=registry, problem=f"a redirect from {old} to {new or 'nowhere'}"
        )
    return target


def check_realm(realm: str, *, registry: str, insecure: Iterable[str]) -> None:
    """Refuse a token server that a registry has no business to send us to.

    Credentials leave over TLS only, unless the registry itself is a plain one, and a registry out
    there may not point at this machine or its network. Its own host is always fine. Names are
    compared, not resolved: TLS is what proves the host behind one.

    Raises:
        RegistryProtocolError: The realm is refused; says why.
    """
    try:
        parts = urlsplit(realm)
        _origin(realm)
    except ValueError:
        parts = urlsplit("")
    host = parts.hostname or ""
    allowed = tuple(insecure)
    is_plain = is_plain_http(registry, allowed)
    problem = ""
    if parts.scheme not in _DEFAULT_PORTS or not host or parts.username is not None:
        problem = "is no http or https URL"
    elif parts.scheme == "http" and not (is_plain and is_plain_http(parts.netloc, allowed)):
        problem = "would send credentials without TLS"
    elif not is_plain and host != urlsplit(f"//{registry}").hostname and _is_local(host):
        problem = "points into the local network"
    if problem:
        raise RegistryProtocolError(
            registry=registry, problem=f"the token server {realm[:200]!r} {problem}"
        )


def _is_local(host: str) -> bool:
    address = _address(host)
    if address is None:
        return host in _LOCAL_NAMES or host.endswith(".localhost")
    return not address.is_global


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
