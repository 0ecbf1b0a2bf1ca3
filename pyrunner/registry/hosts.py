"""Which hosts are spoken to, and how: pure decisions on names and addresses."""

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

from pyrunner.errors import RegistryProtocolError
from pyrunner.registry.reference import DOCKER_HUB, HUB_ENDPOINT

_LOCAL_NAMES = frozenset(
    {
        "localhost",
        "localhost.localdomain",
        "ip6-localhost",
        "ip6-loopback",
        "host.docker.internal",
        "model-runner.docker.internal",
        "gateway.docker.internal",
    }
)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
"""What every parser of addresses reads alike; some end a host at a backslash, others do not."""
_OLD_IPV4 = re.compile(r"[0-9a-fx.]+")
"""``127.1``, ``0x7f000001`` and ``2130706433`` are 127.0.0.1 to the resolver."""
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
    try:
        return _origin(first) == _origin(second)
    except ValueError:
        return False


def redirect_target(source: str, location: str, *, registry: str) -> str:
    """Where a ``Location`` leads, refusing one that leaves HTTP(S), drops TLS or turns inwards.

    A host out there may not send us to this machine; it may to a private network, where companies
    keep the storage behind their registries.

    Raises:
        RegistryProtocolError: It does, or is no address.
    """
    try:
        target = urljoin(source, location)
        (old, from_host, _), (new, to_host, _) = _origin(source), _origin(target)
    except ValueError as error:  # brackets, ports, characters that an address cannot have
        raise RegistryProtocolError(
            registry=registry, problem=f"a redirect to no address ({error})"
        ) from error
    if new not in _DEFAULT_PORTS or (old == "https" and new == "http"):
        raise RegistryProtocolError(
            registry=registry, problem=f"a redirect from {old} to {new or 'nowhere'}"
        )
    if _is_this_machine(to_host) and not _is_this_machine(from_host):
        raise RegistryProtocolError(registry=registry, problem=f"a redirect to {to_host}")
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
    return _is_this_machine(host) if address is None else not address.is_global


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    if address is None:
        name = host.rstrip(".")
        return name in _LOCAL_NAMES or name.endswith(".localhost")
    return address.is_loopback or address.is_link_local or address.is_unspecified


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    name = host.rstrip(".")
    try:
        if _OLD_IPV4.fullmatch(name):
            return ipaddress.IPv4Address(socket.inet_aton(name))
        address = ipaddress.ip_address(name)
    except (ValueError, OSError):
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port; a `ValueError` where not every parser would agree on the host."""
    parts = urlsplit(url)
    if parts.netloc and not _HOST.fullmatch(parts.netloc):
        raise ValueError(f"{parts.netloc[:100]!r} is no host")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port
