"""Which server a command talks to, and what it does when there is none."""

from pyrunner import config
from pyrunner.cli import address
from pyrunner.cli.client import Client
from pyrunner.cli.library import Library, ServerLibrary
from pyrunner.errors import ServerUnreachableError


def find_server(settings: config.Settings) -> Client | None:
    """The server that ``MODEL_RUNNER_HOST`` names, answering or not; else the first that answers.

    Returns:
        None when no server is named and none answers on the Unix socket or the TCP port.
    """
    if (named := address.named()) is not None:
        return Client(named)
    for candidate in address.usual(settings):
        client = Client(candidate)
        if client.is_answering():
            return client
    _clear(settings)
    return None


def _clear(settings: config.Settings) -> None:
    """Take away the socket of a server that was killed before it had a worker to do so."""
    if settings.socket_path.is_socket():
        from pyrunner.runtime.folder import RuntimeFolder
        from pyrunner.wire.server_socket import remove_dead

        remove_dead(settings.socket_path, RuntimeFolder(settings.runtime_dir).lock)


def openai_server(url: str) -> Client:
    """Any server of OpenAI's API at a base URL such as ``http://localhost:8000/v1``.

    Raises:
        ConfigError: No URL of a server.
    """
    return Client(address.parse(url, ("--openaiurl", "command line")))


def need_server(settings: config.Settings) -> Client:
    """`find_server`, for commands that are about a running server.

    Raises:
        ServerUnreachableError: None answers.
    """
    client = find_server(settings)
    if client is None:
        raise ServerUnreachableError(address=str(address.usual(settings)[-1]))
    return client


def find_library(settings: config.Settings) -> Library:
    """The models of the server, or of the store on this disk when no server runs."""
    client = find_server(settings)
    if client is not None:
        return ServerLibrary(client)
    from pyrunner.cli.store_library import StoreLibrary

    return StoreLibrary(settings)
