"""The models of the store on this disk, for commands that find no server."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pyrunner import config
from pyrunner.cli.library import OnProgress
from pyrunner.models import catalog

if TYPE_CHECKING:
    from pyrunner.models.progress import ProgressEvent
    from pyrunner.models.remote import RemoteModel
    from pyrunner.models.stored import StoredModel


class StoreLibrary:
    """`pyrunner.cli.library.Library` without a server. Nothing touches the disk before a call."""

    def __init__(self, settings: config.Settings) -> None:
        self._settings = settings
        self._store = catalog.open_store(settings)

    def list(self) -> list[dict[str, Any]]:
        """Every model, in the order of the index."""
        return [_as_json(each, each.tags) for each in self._store.list()]

    def inspect(self, reference: str, *, is_remote: bool = False) -> dict[str, Any]:
        """One model of the store, or what its registry says of it.

        Raises:
            ModelNotFoundError: Not there.
        """
        if not is_remote:
            model = self._store.find(reference)
            return _as_json(model, model.tags)
        from pyrunner.models import remote

        with catalog.open_client(self._settings) as client:
            return _as_json(remote.describe(self._store, client, reference), [])

    def pull(self, reference: str, on_progress: OnProgress) -> None:
        """Fetch a model from its registry into the store."""
        from pyrunner.models import transfer

        with catalog.open_client(self._settings) as client:
            transfer.pull(self._store, client, reference, lines_to(on_progress))

    def push(self, reference: str, on_progress: OnProgress) -> None:
        """Upload a model of the store to its registry."""
        from pyrunner.models import transfer

        with catalog.open_client(self._settings) as client:
            transfer.push(self._store, client, reference, lines_to(on_progress))

    def remove(self, reference: str, *, is_forced: bool) -> Sequence[dict[str, str]]:
        """Drop a tag or a model, and the blobs that nothing else needs."""
        removed = self._store.remove(reference, force=is_forced)
        return [{each.kind: each.what} for each in removed]

    def tag(self, source: str, target: str) -> None:
        """Give a model one more name."""
        self._store.tag(source, target)


def lines_to(on_progress: OnProgress) -> "Callable[[ProgressEvent], None]":
    """What shows progress lines, for what tells progress events."""
    return lambda event: on_progress(json.loads(event.to_json()))


def _as_json(model: "StoredModel | RemoteModel", names: Sequence[str]) -> dict[str, Any]:
    # As GET /models shows it: no key for no tags.
    import msgspec

    tags = {"tags": [*names]} if names else {}
    about = {"config": msgspec.to_builtins(model.config)}
    return {"id": model.id} | tags | {"created": model.created} | about
