"""Where else in a registry the blobs of a model probably are, as far as the store knows."""

from functools import cached_property

from pyrunner.models.store import Store
from pyrunner.registry.reference import Reference


class MountSources:
    """Other repositories that a registry can take blobs from. Any thread.

    The store is read once, when a blob is looked for first: two small reads per model.

    Args:
        store: Knows the names of its models.
        reference: The repository that is pushed to.
    """

    def __init__(self, store: Store, reference: Reference) -> None:
        self._store = store
        self._reference = reference

    def find(self, digest: str) -> str:
        """A repository of the same registry that had the blob once, empty when none is known."""
        return self._repositories.get(digest, "")

    @cached_property
    def _repositories(self) -> dict[str, str]:
        pushed = self._reference
        found: dict[str, str] = {}
        for model in self._store.list():
            for each in model.references:
                if each.registry == pushed.registry and each.repository != pushed.repository:
                    for blob in model.manifest.blobs:
                        found.setdefault(blob.digest, each.repository)
        return found
