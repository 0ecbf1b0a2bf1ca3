"""The model of the scripted hub, and how the tests pull it."""

from pyrunner.models.store import Store
from pyrunner.models.transfer import PullOutcome, pull
from pyrunner.registry.client import RegistryClient
from support.recording import Told
from support.scripted_hub import HubRepository

NAME = "hf.co/Org/Model-GGUF"
PAGE = "https://huggingface.co/Org/Model-GGUF"
TEMPLATE = b"{{ messages }}"


def pull_model(
    store: Store, client: RegistryClient, tag: str = "", told: Told | None = None
) -> PullOutcome:
    return pull(store, client, f"{NAME}{tag}", told or Told())


def main_files(repository: HubRepository) -> dict[str, bytes]:
    return repository.commits[repository.revisions["main"]]


def is_empty(store: Store) -> bool:
    incoming = store.path / ".pyrunner" / "incoming"
    return store.list() == [] and not (incoming.exists() and list(incoming.iterdir()))
