"""What the server and the command line open: this machine's store and a registry client."""

import threading
from typing import TYPE_CHECKING

from pyrunner.config import Settings
from pyrunner.models.demo import DemoModel
from pyrunner.models.store import Store

if TYPE_CHECKING:
    from pyrunner.registry.client import RegistryClient
    from pyrunner.registry.credential import GivenToken


def open_store(settings: Settings) -> Store:
    """The store of these settings; nothing is touched before its first use."""
    return Store(settings.store_path, settings.registry, DemoModel())


def open_client(
    settings: Settings,
    token: "GivenToken | None" = None,
    cancelled: threading.Event | None = None,
) -> "RegistryClient":
    """A client with these settings and the credentials of Docker's configuration. Close it.

    Args:
        settings: Time limits, mirrors and so on.
        token: Goes to its registry in place of those credentials.
        cancelled: Set by another thread to end what the client waits for.
    """
    # requests is slow to import, which `pyrunner ls` must not pay for.
    from pyrunner.registry.client import RegistryClient  # noqa: PLC0415 - see above

    return RegistryClient(settings.registry, token=token, cancelled=cancelled)
