"""A registry client that waits without taking time, and pulls that remember what they were told."""

import threading
from dataclasses import dataclass, field

from pyrunner.config import RegistryConfig
from pyrunner.models.progress import ProgressEvent
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.transport import Transport
from support.debian_registry import ANONYMOUS, Login


@dataclass
class Told:
    """A progress callback."""

    events: list[ProgressEvent] = field(default_factory=list)

    def __call__(self, event: ProgressEvent) -> None:
        self.events.append(event)

    @property
    def messages(self) -> list[str]:
        return [each.message for each in self.events if each.type != "progress"]

    def currents(self, layer_id: str) -> list[int]:
        """How much of one layer each line said is there."""
        return [each.layer_current for each in self.events if each.layer_id == layer_id]


class ImpatientClient(RegistryClient):
    """Notes how long it should have waited before another attempt."""

    def __init__(self, login: Login = ANONYMOUS, config: RegistryConfig | None = None) -> None:
        self.waits_s: list[float] = []
        config = config or RegistryConfig(max_attempts=3, timeout_s=10)
        super().__init__(config, login, Transport(config, self._note))

    def _note(self, _cancelled: threading.Event, delay_s: float) -> None:
        self.waits_s.append(delay_s)


class GaveUp(Exception):  # noqa: N818 - no error: what a caller raises to cancel
    """Raised from a progress callback."""
