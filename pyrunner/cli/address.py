"""Where a server may be: the text of ``MODEL_RUNNER_HOST``, a Unix socket, a TCP port."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from pyrunner import config
from pyrunner.errors import ConfigError

VARIABLE = "MODEL_RUNNER_HOST"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[!-~]+")
"""No spaces and nothing that would have to be encoded: http.client refuses both too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One place to connect to: `socket_path`, or else `host` and `port`."""

    socket_path: str = ""
    host: str = "localhost"
    port: int = 0
    is_tls: bool = False
    prefix: str = ""
    """What stands before every path, without a slash at the end (``/exp/vDD4.40``)."""

    def __str__(self) -> str:
        return f"unix://{self.socket_path}" if self.socket_path else self.url

    @property
    def url(self) -> str:
        """The base URL, for a client that cannot use `socket_path`."""
        scheme = "https" if self.is_tls else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[scheme] else f":{self.port}"
        return f"{scheme}://{host}{port}{self.prefix}"


def parse(text: str, origin: tuple[str, str] = (VARIABLE, "environment")) -> Address:
    """Read ``host:port``, ``http[s]://host[:port][/prefix]`` or ``unix:///path``.

    Args:
        text: As it was written.
        origin: What named it and where that stands, for the error.

    Raises:
        ConfigError: None of these; names the origin.
    """
    path = text.removeprefix("unix://")
    if path != text and path:
        return Address(socket_path=path)
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _wrong(text, origin) from error
    if parts.scheme not in _DEFAULT_PORTS or not host or not _HOST.fullmatch(host):
        raise _wrong(text, origin)
    return Address(
        host=host,
        port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        is_tls=parts.scheme == "https",
        prefix=_prefix(parts),
    )


def named() -> Address | None:
    """The server that ``MODEL_RUNNER_HOST`` names, if it is set."""
    text = (config.environment_value(VARIABLE) or "").strip()
    return parse(text) if text else None


def usual(settings: config.Settings) -> tuple[Address, ...]:
    """Where a server of these settings listens: the Unix socket first, then the TCP port."""
    socket = Address(socket_path=str(settings.socket_path))
    return (socket, tcp(settings)) if settings.server.port else (socket,)


def tcp(settings: config.Settings) -> Address:
    """The TCP listener of these settings, as a client on this machine reaches it."""
    host = settings.server.host
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - a client's view of a listener on all interfaces
    return Address(host=reached, port=settings.server.port)


def _prefix(parts: SplitResult) -> str:
    return quote(parts.path.rstrip("/"), safe="/%")


def _wrong(text: str, origin: tuple[str, str]) -> ConfigError:
    key, source = origin
    return ConfigError(
        key=key,
        source=source,
        problem=f"is {text[:200]!r}; write http://HOST:PORT or unix:///PATH",
    )
