"""References: names of models, normalised as Docker Model Runner does (reference, section 2.5)."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Never, Self

from pyrunner.errors import ConfigError, InvalidReferenceError
from pyrunner.registry.digest import Digest

DOCKER_HUB = "docker.io"
HUB_ENDPOINT = "registry-1.docker.io"
"""The host that answers for Docker Hub."""
HUGGING_FACE = "huggingface.co"
DEFAULT_ORG = "ai"
DEFAULT_TAG = "latest"

_MAX_NAME = 255
_MAX_TEXT = 1024
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|__|_|-+)[a-z0-9]+)*")
_HOST = re.compile(
    r"(?:\[[0-9a-f:]+\]|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)"
)
_PORT = re.compile(r":[0-9]{1,5}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MODEL_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_ALIASES = {"hf.co": HUGGING_FACE, "index.docker.io": DOCKER_HUB, HUB_ENDPOINT: DOCKER_HUB}


@dataclass(frozen=True, slots=True)
class Reference:
    """One name of a model: a repository in a registry, and a tag or a digest of it.

    Built by `parse`; the constructor checks the same grammar, so no instance holds a bad value.
    With a digest the registry is asked for that, whatever it calls the tag; a tag beside it is
    what the model is called here.
    """

    registry: str
    """Lower-case host, perhaps with a port: ``docker.io``, ``localhost:5000``."""
    repository: str
    """Lower-case path: ``ai/smollm2``."""
    tag: str | None = DEFAULT_TAG
    digest: str | None = None

    def __post_init__(self) -> None:
        _check_registry(self.registry, self.registry, 0)
        _check_repository(self.repository, self.repository, 0)
        if self.tag is not None:
            _check_tag(self.tag, self.tag, 0)
        if self.digest is not None:
            object.__setattr__(self, "digest", Digest(self.digest))
        elif self.tag is None:
            raise InvalidReferenceError(text=self.name, at=len(self.name), problem="no tag")

    @classmethod
    def parse(
        cls, text: str, *, default_registry: str = DOCKER_HUB, default_org: str = DEFAULT_ORG
    ) -> Self:
        """Read what a person typed.

        The name is lower-cased, the tag is not. ``hf.co`` becomes ``huggingface.co``.

        Raises:
            InvalidReferenceError: Not a reference; points at the first wrong character of `text`.
            ConfigError: A default that completes it can be in no reference.
        """
        start = len(text) - len(text.lstrip())
        body = text.strip()
        _check_characters(text, start, body)
        body, digest = _split_digest(text, start, body)
        name, tag = _split_tag(text, start, body)
        name = name.lower()
        registry, path, path_at = _split_registry(text, start, name)
        _check_repository(path, text, path_at)
        if "/" not in path and (not registry or registry == DOCKER_HUB):
            _check_default("default_org", default_org)
            path = f"{default_org}/{path}"
        if registry is None:
            _check_default("default_registry", default_registry)
            registry = _ALIASES.get(default_registry, default_registry)
        if len(registry) + 1 + len(path) > _MAX_NAME:
            at = min(len(text) - 1, start + _MAX_NAME)
            _refuse(text, at, f"a name has at most {_MAX_NAME} characters")
        if tag is None and digest is None:
            tag = DEFAULT_TAG
        return cls(registry, path, tag, digest)

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar(self) -> str:
        """The shortest form that `parse` reads back by default: ``smollm2`` for a person."""
        name = self.name.removeprefix(f"{DOCKER_HUB}/")
        if _split_registry(name, 0, name)[0]:
            name = self.name  # the organisation alone would be taken for a registry
        short = name.removeprefix(f"{DEFAULT_ORG}/")
        if "/" not in short:
            name = short
        tag = "" if self.tag in {None, DEFAULT_TAG} and not self.digest else self._tag
        return f"{name}{tag}{self._digest}"

    @property
    def stored_name(self) -> str:
        """The name of a model in a store: with its tag, or if it has none with its digest."""
        return f"{self.name}{self._tag or self._digest}"

    @property
    def target(self) -> str:
        """What a registry is asked for: the digest if there is one, else the tag."""
        return self.digest or self.tag or DEFAULT_TAG

    def __str__(self) -> str:
        return f"{self.name}{self._tag}{self._digest}"

    @property
    def _tag(self) -> str:
        return f":{self.tag}" if self.tag else ""

    @property
    def _digest(self) -> str:
        return f"@{self.digest}" if self.digest else ""


def parse_registry(text: str) -> str:
    """Read the name of a registry that a person typed, perhaps as Docker's files write it.

    ``https://index.docker.io/v1/`` and ``index.docker.io`` are ``docker.io``.

    Raises:
        InvalidReferenceError: No host; points at the first wrong character of `text`.
    """
    start = len(text) - len(text.lstrip())
    body = text.strip()
    _check_characters(text, start, body)
    scheme = _SCHEME.match(body)
    start += scheme.end() if scheme else 0
    host, slash, path = text[start:].strip().lower().partition("/")
    _check_registry(host, text, start)
    if path.strip("/") not in {"", "v1", "v2"}:
        _refuse(text, start + len(host) + len(slash), "a registry has no path")
    return _ALIASES.get(host, host)


def _refuse(text: str, at: int, problem: str) -> Never:
    raise InvalidReferenceError(text=text, at=max(0, at), problem=problem)


def _check_default(key: str, value: str) -> None:
    try:
        if key == "default_org":
            _check_repository(value, value, 0)
        else:
            _check_registry(value, value, 0)
    except InvalidReferenceError as error:
        raise ConfigError(
            key=f"registry.{key}",
            source=repr(value[:_MAX_NAME]),
            problem=f"wrong at character {error.at + 1}: {error.problem}",
        ) from error


def _check_characters(text: str, start: int, body: str) -> None:
    if not body:
        _refuse(text, 0, "it is empty")
    if len(body) > _MAX_TEXT:
        _refuse(text, start + _MAX_TEXT, "it is too long")
    for i, character in enumerate(body):
        if not "!" <= character <= "~":
            _refuse(text, start + i, "only printable ASCII without spaces is allowed")
    if _MODEL_ID.fullmatch(body):
        _refuse(text, start, "this is a model id, not a reference")


def _split_digest(text: str, start: int, body: str) -> tuple[str, Digest | None]:
    name, at_sign, digest = body.partition("@")
    if not at_sign:
        return name, None
    try:
        return name, Digest(digest)
    except InvalidReferenceError as error:
        _refuse(text, start + len(name) + 1 + error.at, error.problem)


def _split_tag(text: str, start: int, body: str) -> tuple[str, str | None]:
    colon = body.find(":", body.rfind("/") + 1)
    if colon < 0:
        return body, None
    name, tag = body[:colon], body[colon + 1 :]
    if not tag:
        return name, None
    _check_tag(tag, text, start + colon + 1)
    return name, tag


def _split_registry(text: str, start: int, name: str) -> tuple[str | None, str, int]:
    first, slash, rest = name.partition("/")
    if not slash or not _is_recognised(first):
        return None, name, start
    _check_registry(first, text, start)
    return _ALIASES.get(first, first), rest, start + len(first) + 1


def _is_recognised(first: str) -> bool:
    """Whether the first component of a name is a registry and no organisation."""
    return "." in first or ":" in first or first == "localhost"


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _check_registry(registry: str, text: str, at: int) -> None:
    host = _HOST.match(registry)
    if host is None:
        _refuse(text, at, "a registry is a host name, perhaps with a port")
    end = host.end()
    if not _is_recognised(registry) or (registry[0] == "[" and not _is_ipv6(registry[1 : end - 1])):
        _refuse(text, at, "a registry has a dot or a port, or is localhost")
    if end < len(registry):
        port = _PORT.match(registry, end)
        if port is None or port.end() != len(registry) or int(registry[end + 1 :]) > 65535:
            _refuse(text, at + end, "a registry is a host name, perhaps with a port")


def _check_repository(path: str, text: str, at: int) -> None:
    for component in path.split("/"):
        match = _COMPONENT.match(component)
        end = match.end() if match else 0
        if end != len(component) or not component:
            _refuse(
                text,
                at + end,
                "a name has letters and digits, separated by '.', '_', '__' or '-', between '/'",
            )
        at += len(component) + 1


def _check_tag(tag: str, text: str, at: int) -> None:
    match = _TAG.match(tag)
    end = match.end() if match else 0
    if end != len(tag):
        _refuse(
            text, at + end, "a tag has up to 128 letters, digits, '_', '.' and '-', not these first"
        )
