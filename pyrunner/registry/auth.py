"""Credentials: where Docker keeps them, and nothing that prints them.

Order of look-up: ``DOCKER_USERNAME`` and ``DOCKER_PASSWORD`` (only for Docker Hub, or for the host
that ``DOCKER_REGISTRY`` names), then Docker's ``config.json``: ``credHelpers``, ``credsStore``,
``auths``.
"""

import base64
import binascii
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pyrunner import log
from pyrunner.config import environment_value
from pyrunner.errors import ConfigError
from pyrunner.registry.reference import DOCKER_HUB

HUB_SERVER = "https://index.docker.io/v1/"
"""What Docker Hub is called in ``config.json`` and by credential helpers."""
HELPER_TIMEOUT_S = 30.0
MAX_CONFIG_BYTES = 1024 * 1024
_MAX_HELPER_BYTES = 64 * 1024
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HUB_HOSTS = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})

_log = log.get("registry")


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
        pair = f"{self.username}:{self.secret}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class _Auth(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _DockerConfig(msgspec.Struct):
    auths: dict[str, _Auth] = {}
    creds_store: str = msgspec.field(name="credsStore", default="")
    cred_helpers: dict[str, str] = msgspec.field(name="credHelpers", default={})


class _Answer(msgspec.Struct):
    username: str = msgspec.field(name="Username")
    secret: str = msgspec.field(name="Secret")


class DockerCredentials:
    """The credentials of the person who runs this process, as Docker's tools find them.

    Read anew at each look-up, so a `docker login` in between counts. Any thread.

    Args:
        environment: Gives one environment variable, None when unset or empty.
    """

    def __init__(self, environment: Callable[[str], str | None] = environment_value) -> None:
        self._environment = environment

    def find(self, registry: str) -> Credential | None:
        """The credential for a registry host, None when there is none.

        Raises:
            ConfigError: ``config.json`` exists and is broken.
        """
        return self._from_environment(registry) or self._from_config(registry)

    def _from_environment(self, registry: str) -> Credential | None:
        username = self._environment("DOCKER_USERNAME")
        password = self._environment("DOCKER_PASSWORD")
        host = _host(self._environment("DOCKER_REGISTRY") or DOCKER_HUB)
        if username and password and host == _host(registry):
            return Credential(username, password)
        return None

    def _from_config(self, registry: str) -> Credential | None:
        config = self._read_config()
        server = HUB_SERVER if _host(registry) == DOCKER_HUB else registry
        helpers = {_host(name): helper for name, helper in config.cred_helpers.items()}
        helper = helpers.get(_host(registry)) or config.creds_store
        found = _ask_helper(helper, server) if helper else None
        if found is not None:
            return found
        for name, auth in config.auths.items():
            if _host(name) == _host(registry):
                return _from_auth(auth, name)
        return None

    def _read_config(self) -> _DockerConfig:
        folder = self._environment("DOCKER_CONFIG")
        path = (Path(folder) if folder else Path("~/.docker").expanduser()) / "config.json"
        try:
            with path.open("rb") as file:
                content = file.read(MAX_CONFIG_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return _DockerConfig()
        except OSError as error:
            raise _broken(path, error.strerror or "cannot be read") from error
        if len(content) > MAX_CONFIG_BYTES:
            raise _broken(path, "is too large")
        try:
            return msgspec.json.decode(content, type=_DockerConfig)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _broken(path, f"cannot be read ({error})") from error


def _broken(path: Path, problem: str) -> ConfigError:
    return ConfigError(key="registry credentials", source=str(path), problem=problem)


def _host(name: str) -> str:
    """Reduce the ways to write a registry in ``config.json`` to its host."""
    host = name.lower().removeprefix("https://").removeprefix("http://").split("/", 1)[0]
    return DOCKER_HUB if host in _HUB_HOSTS else host


def _from_auth(auth: _Auth, name: str) -> Credential | None:
    if auth.identitytoken:
        return Credential("<token>", auth.identitytoken, is_identity_token=True)
    if auth.username and auth.password:
        return Credential(auth.username, auth.password)
    if not auth.auth:
        return None
    try:
        pair = base64.b64decode(auth.auth, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        _log.warning("config.json: the credential for %s is not base64 and is ignored", name)
        return None
    username, _, password = pair.partition(":")
    return Credential(username, password.rstrip("\0")) if username else None


def _ask_helper(helper: str, server: str) -> Credential | None:
    if not _HELPER.fullmatch(helper):
        _log.warning("the credential helper %r has an impossible name and is ignored", helper)
        return None
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(  # noqa: S603 - the name was checked; this is Docker's protocol
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=HELPER_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("%s could not be asked for %s: %s", program, server, type(error).__name__)
        return None
    if done.returncode != 0 or len(done.stdout) > _MAX_HELPER_BYTES:
        # On standard output helpers say why: usually that there is no such credential.
        _log.debug("%s has no credential for %s", program, server)
        return None
    try:
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        _log.warning("%s gave an answer that cannot be read", program)
        return None
    is_token = answer.username == "<token>"
    return Credential(answer.username, answer.secret, is_identity_token=is_token)
