"""Mirrors of Docker Hub: asked first, in their order, and never trusted with its credentials."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from pyrunner import log
from pyrunner.errors import (
    ConfigError,
    InvalidReferenceError,
    RegistryAuthError,
    RegistryError,
    RegistryProtocolError,
    RegistryUnavailableError,
)
from pyrunner.registry.hosts import is_plain_http
from pyrunner.registry.reference import DOCKER_HUB, Reference
from pyrunner.registry.transport import Response

_log = log.get("registry")


@dataclass(frozen=True, slots=True)
class Mirror:
    """One registry that has copies of Docker Hub's content."""

    root: str
    """URL, without a slash at the end: ``https://mirror.example/hub``."""
    host: str
    """Whose credentials it gets: its own."""

    @classmethod
    def parse(cls, text: str, insecure: Iterable[str]) -> "Mirror":
        """Read ``[scheme://]host[:port][/path]``; without a scheme it is https.

        Raises:
            ConfigError: It is no such address, or one without TLS that is not `insecure`.
        """
        url = (text if "://" in text else f"https://{text}").rstrip("/")
        try:
            parts = urlsplit(url)
            host = parts.netloc.lower()
            Reference(host, "x")
        except (ValueError, InvalidReferenceError) as error:
            raise _no_mirror(text) from error
        if parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
            raise _no_mirror(text)
        if parts.scheme == "http" and not is_plain_http(host, tuple(insecure)):
            raise ConfigError(
                key="registry.mirrors",
                source="settings",
                problem=f"{text[:200]!r} would be sent credentials without TLS; write https, or "
                f"name {host} in registry.insecure, too",
            )
        return cls(url, host)

    def name_of(self, reference: Reference) -> Reference:
        """The same model here."""
        return replace(reference, registry=self.host)

    def url(self, reference: Reference, path: str) -> str:
        """Where something of a repository is."""
        return f"{self.root}/v2/{reference.repository}/{path}"


class Mirrors:
    """The mirrors that still answer, and rightly. Any thread."""

    def __init__(self, texts: Iterable[str], insecure: Iterable[str] = ()) -> None:
        self._mirrors = tuple(Mirror.parse(each, insecure) for each in texts)
        self._faults: dict[Mirror, str] = {}

    def of(self, reference: Reference) -> list[Mirror]:
        """Whom to ask before the registry itself."""
        if reference.registry != DOCKER_HUB:
            return []
        return [each for each in self._mirrors if each not in self._faults]

    def faults(self, reference: Reference) -> list[str]:
        """Which mirrors of this registry are left out, and why; for errors."""
        if reference.registry != DOCKER_HUB:
            return []
        found = tuple(self._faults.items())
        return [f"its mirror {each.host} is left out: {why}" for each, why in found]

    def give_up(self, mirror: Mirror, error: RegistryError) -> None:
        """Ask this one no more: it does not answer, or wrongly."""
        if mirror not in self._faults:
            _log.warning("the mirror %s is left out: %s", mirror.host, error)
            self._faults[mirror] = _in_short(error)


class MirrorAnswer(Response):
    """What a mirror answered. Whoever finds it wrong says so with `reject`.

    Attributes:
        mirror: Who sent it.
    """

    def __init__(self, response: Response, mirror: Mirror, mirrors: Mirrors) -> None:
        vars(self).update(vars(response))  # the very same answer; its transport knows no mirrors
        self.mirror = mirror
        self._mirrors = mirrors

    def give_up(self, error: RegistryError) -> None:
        """Ask who sent this no more."""
        self._mirrors.give_up(self.mirror, error)


def reject(response: Response, error: RegistryError) -> bool:
    """Leave out the mirror that sent a wrong answer, or one that broke off.

    Returns:
        Whether a mirror sent it, so that there is somebody else to ask.
    """
    if not isinstance(response, MirrorAnswer):
        return False
    response.give_up(error)
    return True


def _in_short(error: RegistryError) -> str:
    if isinstance(error, RegistryUnavailableError | RegistryProtocolError):
        return error.problem
    if isinstance(error, RegistryAuthError):
        return f"it refused access (HTTP {error.status})"
    return "it sent other bytes than promised"


def _no_mirror(text: str) -> ConfigError:
    return ConfigError(
        key="registry.mirrors",
        source="settings",
        problem=f"{text[:200]!r} is no address of a mirror; write [https://]HOST[:PORT][/PATH]",
    )
