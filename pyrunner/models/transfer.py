"""Pull and push: models between a registry and the store. Signatures; the bodies follow."""

from dataclasses import dataclass

from pyrunner.models.progress import OnProgress, ProgressEvent
from pyrunner.models.store import Store
from pyrunner.models.stored import StoredModel
from pyrunner.registry.client import RegistryClient

__all__ = ["OnProgress", "ProgressEvent", "PullOutcome", "pull", "push"]


@dataclass(frozen=True, slots=True)
class PullOutcome:
    """What a pull did."""

    model: StoredModel
    is_cached: bool
    """Nothing had to be pulled."""


def pull(
    store: Store, client: RegistryClient, reference_text: str, on_progress: OnProgress
) -> PullOutcome:
    """Bring a model into the store."""
    raise NotImplementedError


def push(
    store: Store, client: RegistryClient, reference_text: str, on_progress: OnProgress
) -> None:
    """Send a model of the store to its registry."""
    raise NotImplementedError
