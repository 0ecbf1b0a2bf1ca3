"""Credentials: where Docker keeps them, and nothing that prints them.

Order of look-up: ``DOCKER_USERNAME`` and ``DOCKER_PASSWORD`` (only for Docker Hub, or for the host
that ``DOCKER_REGISTRY`` names), then Docker's ``config.json``: ``credHelpers``, ``credsStore``,
``auths``. New ones go where that file says.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyrunner import log
from pyrunner.config import environment_value
from pyrunner.errors import ConfigError
from pyrunner.registry import credential_program, docker_config
from pyrunner.registry.credential import Credential
from pyrunner.registry.docker_config import DockerConfig
from pyrunner.registry.reference import DOCKER_HUB, HUB_ENDPOINT

__all__ = ["Credential", "DockerCredentials"]

HUB_SERVER = "https://index.docker.io/v1/"
"""What Docker Hub is called in ``config.json`` and by credential helpers."""
_HUB_HOSTS = frozenset({DOCKER_HUB, "index.docker.io", HUB_ENDPOINT})

_log = log.get("registry")


class DockerCredentials:
    """The credentials of the person who runs this process, as Docker's tools find them.

    Read anew at each look-up, so a `pyrunner login` in between counts. Any thread.

    Args:
        environment: Gives one environment variable, None when unset or empty.
    """

    def __init__(self, environment: Callable[[str], str | None] = environment_value) -> None:
        self._environment = environment

    @property
    def path(self) -> Path:
        """Docker's ``config.json``, which need not exist.

        Raises:
            ConfigError: There is no place for it: no home directory, and no ``DOCKER_CONFIG``.
        """
        path = self._path()
        if path is None:
            raise ConfigError(
                key="registry credentials",
                source="environment",
                problem="there is no home directory to keep them in; set DOCKER_CONFIG to a folder",
            )
        return path

    def find(self, registry: str) -> Credential | None:
        """The credential for a registry host, None when there is none.

        A credential helper that fails is logged and passed over.

        Raises:
            ConfigError: ``config.json`` exists and is broken.
        """
        return self._from_environment(registry) or self._from_config(registry)

    def save(self, registry: str, credential: Credential) -> str | None:
        """Keep a credential where ``config.json`` says: in a program, else in the file itself.

        Returns:
            The credential helper that has it now, None when it is in the file, unencrypted.

        Raises:
            ConfigError: ``config.json`` is broken, has no place or cannot be written, or the
                helper failed.
        """
        server = _server(registry)
        name = _program(docker_config.read(self.path), registry)
        entry: dict[str, str] = {}  # Docker lists the registry so, when the secret is elsewhere
        if name:
            credential_program.store(name, server, credential)
        else:
            entry = docker_config.entry_of(credential)

        def change(auths: dict[str, Any]) -> None:
            _drop(auths, registry)
            auths[server] = entry

        docker_config.change_auths(self.path, change)
        return credential_program.program(name) if name else None

    def forget(self, registry: str) -> bool:
        """Remove the credential of a registry; False when none was kept.

        Raises:
            ConfigError: ``config.json`` is broken or cannot be written, or the helper failed.
        """
        config = self._read()
        name = _program(config, registry)
        is_kept = any(_host(each) == _host(registry) for each in config.auths or ())
        if name and credential_program.get(name, _server(registry)) is not None:
            credential_program.erase(name, _server(registry))
            is_kept = True
        if is_kept:
            docker_config.change_auths(self.path, lambda auths: _drop(auths, registry))
        return is_kept

    def _path(self) -> Path | None:
        folder = self._environment("DOCKER_CONFIG")
        try:
            return (Path(folder) if folder else Path("~/.docker").expanduser()) / "config.json"
        except RuntimeError:  # a container may run as a user whom nobody gave a home
            return None

    def _read(self) -> DockerConfig:
        path = self._path()
        return DockerConfig() if path is None else docker_config.read(path)

    def _from_environment(self, registry: str) -> Credential | None:
        username = self._environment("DOCKER_USERNAME")
        password = self._environment("DOCKER_PASSWORD")
        host = _host(self._environment("DOCKER_REGISTRY") or DOCKER_HUB)
        if username and password and host == _host(registry):
            return Credential(username, password)
        return None

    def _from_config(self, registry: str) -> Credential | None:
        config = self._read()
        name = _program(config, registry)
        try:
            found = credential_program.get(name, _server(registry)) if name else None
        except ConfigError as error:
            _log.warning("%s; going on without it", error)
            found = None
        return found or _from_file(config, registry)


def _from_file(config: DockerConfig, registry: str) -> Credential | None:
    """The first credential among the entries of a registry, whose own spelling comes first.

    An empty entry is no answer: Docker leaves one where a credential helper has the secret.
    """
    entries = config.auths or {}
    names = [name for name in entries if _host(name) == _host(registry)]
    for name in sorted(names, key=lambda each: each != _server(registry)):
        entry = entries[name]
        credential = entry.credential() if entry else None
        if credential is not None:
            return credential
        if entry and entry.auth:
            _log.warning("config.json: the entry of %s is no credential", name)
    return None


def _program(config: DockerConfig, registry: str) -> str:
    """The name of the credential helper for a registry, empty when there is none.

    An empty name in ``credHelpers`` is Docker's way to keep one registry out of ``credsStore``.
    """
    programs = {_host(name): helper for name, helper in (config.cred_helpers or {}).items()}
    return programs.get(_host(registry), config.creds_store) or ""


def _server(registry: str) -> str:
    return HUB_SERVER if _host(registry) == DOCKER_HUB else registry


def _host(name: str) -> str:
    """Reduce the ways to write a registry in ``config.json`` to its host."""
    host = name.lower().removeprefix("https://").removeprefix("http://").split("/", 1)[0]
    return DOCKER_HUB if host in _HUB_HOSTS else host


def _drop(auths: dict[str, Any], registry: str) -> None:
    for each in [name for name in auths if _host(name) == _host(registry)]:
        del auths[each]
