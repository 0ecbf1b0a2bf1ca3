"""The same program as a plugin of Docker's command line: ``docker model ...``.

Docker asks for `METADATA` first, then runs us with its own global options, the word ``model`` and
the rest. Compose and others run us by our file name with the rest alone. Either way the exit code
of a failure is 1, because scripts around ``docker model`` know no other.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from pyrunner import config

PLUGIN_VERSION = "v1.2.6"
"""The version of Docker's own plugin whose commands we answer like.

Compose compares it with 1.0.6 to learn what the plugin understands, so it says what we are
compatible with; our own version is what ``docker model version`` prints.
"""

METADATA_COMMAND = "docker-cli-plugin-metadata"
METADATA = {
    "SchemaVersion": "0.1.0",
    "Vendor": "pyrunner",
    "Version": PLUGIN_VERSION,
    "ShortDescription": "Docker Model Runner",
}
PLUGIN_MODE_VARIABLE = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"
SOCKET_VARIABLE = "DOCKER_CLI_PLUGIN_SOCKET"
NAME = "model"

_TLS_FILES = ("--tlscacert", "--tlscert", "--tlskey")
_WITH_VALUE = frozenset(
    ("--config", "-c", "--context", "-H", "--host", "-l", "--log-level", *_TLS_FILES)
)
_WITHOUT_VALUE = frozenset(("-D", "--debug", "--tls", "--tlsverify"))


def main() -> NoReturn:
    """Entry point of ``docker-model``."""
    arguments = sys.argv[1:]
    if arguments[:1] == [METADATA_COMMAND]:
        print(json.dumps(METADATA, indent=5))
        sys.exit(0)
    is_plugin = config.environment_value(PLUGIN_MODE_VARIABLE) is not None
    if is_plugin:
        _stop_with_docker(config.environment_value(SOCKET_VARIABLE))
    from pyrunner.cli import main as command_line

    own = own_arguments(arguments, is_plugin=is_plugin)
    code = command_line.run(own, prog_name="docker model" if is_plugin else "docker-model")
    sys.exit(min(code, 1) if code != command_line.INTERRUPTED else code)


def own_arguments(arguments: Sequence[str], *, is_plugin: bool) -> list[str]:
    """What is left for us: without Docker's global options and, in plugin mode, ``model``."""
    i = 0
    while i < len(arguments):
        option, has_inline_value = arguments[i].partition("=")[0], "=" in arguments[i]
        if option in _WITH_VALUE:
            i += 1 if has_inline_value else 2
        elif option in _WITHOUT_VALUE:
            i += 1
        else:
            break
    rest = list(arguments[i:])
    return rest[1:] if is_plugin and rest[:1] == [NAME] else rest


def _stop_with_docker(address: str | None) -> None:
    # Docker closes this socket when it is told to stop and no terminal tells us as well.
    if not address:
        return
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
    except OSError:
        connection.close()
        return
    threading.Thread(
        target=_interrupt_at_end, args=(connection,), name="docker-socket", daemon=True
    ).start()


def _interrupt_at_end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        while connection.recv(1024):
            pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main()
