"""What a server is made of."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pyrunner.config import Settings
from pyrunner.models.store import Store
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.credential import GivenToken
from pyrunner.server.admission import Admission
from pyrunner.server.ports import Models


def unix_clock() -> float:
    """Seconds since 1970."""
    return datetime.now(UTC).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The collaborators of one application, handed to its resources."""

    settings: Settings
    runtime: Models
    store: Store
    open_client: Callable[[GivenToken | None, threading.Event], RegistryClient]
    """Makes a registry client for one transfer, with the token that its request brought; the event
    ends what it waits for."""
    admission: Admission
    clock: Callable[[], float] = field(default=unix_clock)
    """Unix seconds."""
