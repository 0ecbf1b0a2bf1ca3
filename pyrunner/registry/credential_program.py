"""Docker's credential helpers: programs of other people that keep secrets.

The protocol is that of docker-credential-helpers: ``docker-credential-NAME`` is run with ``get``,
``store`` or ``erase`` and finds the rest on its standard input. What it prints may be a secret, so
no message repeats it.
"""

import contextlib
import os
import re
import selectors
import subprocess
import time

import msgspec

from pyrunner.errors import ConfigError
from pyrunner.registry.credential import IDENTITY_USER, Credential

TIMEOUT_S = 30.0
"""Longest wait for a program, which may ask the person for a passphrase meanwhile."""
_MAX_BYTES = 64 * 1024
"""Largest question and answer; a question of this size fits the pipe at once."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOT_FOUND = b"credentials not found in native keychain"


class _Secret(msgspec.Struct):
    username: str = msgspec.field(name="Username")
    secret: str = msgspec.field(name="Secret")
    server: str = msgspec.field(name="ServerURL", default="")


def get(name: str, server: str) -> Credential | None:
    """What the program keeps for a server, None when it keeps nothing.

    Args:
        name: As ``credsStore`` gives it: ``pass``, ``secretservice``.
        server: As Docker writes it: ``https://index.docker.io/v1/``, ``reg.example``.

    Raises:
        ConfigError: No such program, or it hangs, crashes or talks nonsense.
    """
    output = _run(name, "get", server.encode())
    if output is None:
        return None
    try:
        answer = msgspec.json.decode(output, type=_Secret)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _failed(name, "gave an answer that cannot be read") from error
    if not answer.secret:
        return None
    is_token = answer.username == IDENTITY_USER
    return Credential(answer.username, answer.secret, is_identity_token=is_token)


def store(name: str, server: str, credential: Credential) -> None:
    """Have the program keep a credential.

    Raises:
        ConfigError: No such program, or it hangs, crashes or refuses.
    """
    username = IDENTITY_USER if credential.is_identity_token else credential.username
    _run(name, "store", msgspec.json.encode(_Secret(username, credential.secret, server)))


def erase(name: str, server: str) -> None:
    """Have the program forget what it keeps for a server, if it keeps anything.

    Raises:
        ConfigError: No such program, or it hangs, crashes or refuses.
    """
    _run(name, "erase", server.encode())


def program(name: str) -> str:
    """The program's file name."""
    return f"docker-credential-{name}"


def _run(name: str, action: str, question: bytes) -> bytes | None:
    """What the program prints, None when it says that it has no such credential."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            key="credential helper", source=repr(name[:100]), problem="is no name of a program"
        )
    if len(question) > _MAX_BYTES:
        raise _failed(name, f"is not given more than {_MAX_BYTES} bytes")
    try:
        process = subprocess.Popen(  # noqa: S603 - the name was checked; this is Docker's protocol
            [program(name), action],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise _failed(name, f"cannot be run ({error.strerror})") from error
    with process:
        try:
            output = _talk(process, name, question)
        finally:
            process.kill()
    if process.returncode == 0:
        return output
    if output.strip() == _NOT_FOUND and action != "store":
        return None
    how = f"exit code {process.returncode}"
    if process.returncode < 0:
        how = f"signal {-process.returncode}"
    raise _failed(name, f"failed to {action} the credential ({how})")


def _talk(process: "subprocess.Popen[bytes]", name: str, question: bytes) -> bytes:
    give_up = time.monotonic() + TIMEOUT_S
    if process.stdin is None or process.stdout is None:
        raise AssertionError(name)
    with contextlib.suppress(BrokenPipeError):  # it did not want to know
        process.stdin.write(question)
        process.stdin.flush()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    output = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(0.0, give_up - time.monotonic())):
            chunk = os.read(process.stdout.fileno(), _MAX_BYTES)
            output += chunk
            if len(output) > _MAX_BYTES:
                raise _failed(name, f"gave more than {_MAX_BYTES} bytes")
            if not chunk:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, give_up - time.monotonic()))
                    return bytes(output)
                break
    raise _failed(name, f"did not answer within {TIMEOUT_S:g} s")


def _failed(name: str, problem: str) -> ConfigError:
    return ConfigError(key="credential helper", source=program(name), problem=problem)
