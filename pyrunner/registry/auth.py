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
        """Docker's ``config.json``, which need not exist."""
        folder = self._environment("DOCKER_CONFIG")
        return (Path(folder) if folder else Path("~/.docker").expanduser()) / "config.json"

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
            ConfigError: ``config.json`` is broken or cannot be written, or the helper failed.
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
        config = docker_config.read(self.path)
        name = _program(config, registry)
        is_kept = any(_host(each) == _host(registry) for each in config.auths or ())
        if name and credential_program.get(name, _server(registry)) is not None:
            credential_program.erase(name, _server(registry))
            is_kept = True
        if is_kept:
            docker_config.change_auths(self.path, lambda auths: _drop(auths, registry))
        return is_kept

    def _from_environment(self, registry: str) -> Credential | None:
        username = self._environment("DOCKER_USERNAME")
        password = self._environment("DOCKER_PASSWORD")
        host = _host(self._environment("DOCKER_REGISTRY") or DOCKER_HUB)
        if username and password and host == _host(registry):
            return Credential(username, password)
        return None

    def _from_config(self, registry: str) -> Credential | None:
        config = docker_config.read(self.path)
        name = _program(config, registry)
        try:
            found = credential_program.get(name, _server(registry)) if name else None
        except ConfigError as error:
            _log.warning("%s; going on without it", error)
            found = None
        if found is not None:
            return found
        for each, entry in (config.auths or {}).items():
            if _host(each) == _host(registry) and entry is not None:
                credential = entry.credential()
                if credential is None and entry.auth:
                    _log.warning("config.json: the entry of %s is no credential", each)
                return credential
        return None


def _program(config: DockerConfig, registry: str) -> str:
    """The name of the credential helper for a registry, empty when there is none."""
    programs = {_host(name): helper for name, helper in (config.cred_helpers or {}).items()}
    return programs.get(_host(registry)) or config.creds_store


def _server(registry: str) -> str:
    return HUB_SERVER if _host(registry) == DOCKER_HUB else registry


def _host(name: str) -> str:
    """Reduce the ways to write a registry in ``config.json`` to its host."""
    host = name.lower().removeprefix("https://").removeprefix("http://").split("/", 1)[0]
    return DOCKER_HUB if host in _HUB_HOSTS else host


def _drop(auths: dict[str, Any], registry: str) -> None:
    for each in [name for name in auths if _host(name) == _host(registry)]:
        del auths[each]
