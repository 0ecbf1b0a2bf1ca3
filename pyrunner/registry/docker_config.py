"""Docker's ``config.json``: the part about credentials is read and changed, the rest is kept.

The format is that of Docker's command line (docker/cli, ``cli/config/configfile``).
"""

import base64
import binascii
import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pyrunner.errors import ConfigError
from pyrunner.registry.credential import IDENTITY_USER, Credential, encode_pair

MAX_CONFIG_BYTES = 1024 * 1024


class AuthEntry(msgspec.Struct):
    """One value of ``auths``; null is what some writers put where they have nothing."""

    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None

    def credential(self) -> Credential | None:
        """What the entry means, None when it is empty or cannot be read."""
        if self.identitytoken:
            return Credential(IDENTITY_USER, self.identitytoken, is_identity_token=True)
        if self.username and self.password:
            return Credential(self.username, self.password)
        try:
            pair = base64.b64decode(self.auth or "", validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        username, _, password = pair.partition(":")
        return Credential(username, password.rstrip("\0")) if username else None


def entry_of(credential: Credential) -> dict[str, str]:
    """The value of ``auths`` that keeps a credential."""
    if credential.is_identity_token:
        return {
            "auth": encode_pair(credential.username, ""),
            "identitytoken": credential.secret,
        }
    return {"auth": encode_pair(credential.username, credential.secret)}


class DockerConfig(msgspec.Struct):
    """What ``config.json`` says about credentials."""

    auths: dict[str, AuthEntry | None] | None = None
    creds_store: str | None = msgspec.field(name="credsStore", default=None)
    cred_helpers: dict[str, str | None] | None = msgspec.field(name="credHelpers", default=None)


def read(path: Path) -> DockerConfig:
    """Read the file; one that is not there says nothing.

    Raises:
        ConfigError: It is there and is broken.
    """
    return _decode(path, _content(path))


def change_auths(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change ``auths`` and keep everything else, whatever it is.

    The file is replaced whole, readable for its owner only; a link stays a link.

    Args:
        path: The file, made with its folder when it is not there.
        change: Is given ``auths`` to change it.

    Raises:
        ConfigError: The file is broken, and stays as it is, or cannot be written.
    """
    content = _content(path)
    _decode(path, content)  # what `read` would refuse tomorrow is not written over today
    try:
        document: dict[str, Any] = json.loads(content)
        if document.get("auths") is None:
            document["auths"] = {}
        change(document["auths"])
        text = json.dumps(document, indent="\t", ensure_ascii=False)
    except RecursionError as error:  # the last levels that were read leave no stack
        raise _broken(path, "is nested too deeply to be changed") from error
    try:
        _replace(path.resolve(), text.encode())
    except OSError as error:
        raise _broken(path, f"cannot be written ({error.strerror})") from error


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return b"{}"
    except OSError as error:
        raise _broken(path, error.strerror or "cannot be read") from error
    if len(content) > MAX_CONFIG_BYTES:
        raise _broken(path, "is too large")
    return content


def _decode(path: Path, content: bytes) -> DockerConfig:
    try:
        return msgspec.json.decode(content, type=DockerConfig)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _broken(path, f"cannot be read ({error})") from error


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".config.json.", dir=path.parent)  # mode 0600
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _broken(path: Path, problem: str) -> ConfigError:
    return ConfigError(key="registry credentials", source=str(path), problem=problem)
