"""``models``: what the store holds, in OpenAI's form."""

import falcon

from pyrunner.errors import BackendNotFoundError, ConfigError, ModelFileError, StoreCorruptError
from pyrunner.models.store import Store, StoredModel
from pyrunner.runtime.planning import Planner
from pyrunner.server.errors import respond_json
from pyrunner.server.paths import LLAMA_CPP


class ModelList:
    """``GET .../models``: one entry per model, however many names it has."""

    def __init__(self, store: Store, planner: Planner) -> None:
        self._store = store
        self._planner = planner

    def on_get(self, _req: falcon.Request, resp: falcon.Response, backend: str = LLAMA_CPP) -> None:
        """List in the order the models came."""
        _check(backend)
        entries = [_entry(model, self._planner) for model in self._store.list()]
        respond_json(resp, 200, {"object": "list", "data": entries})


class ModelEntry:
    """``GET .../models/{name}``."""

    def __init__(self, store: Store, planner: Planner) -> None:
        self._store = store
        self._planner = planner

    def on_get(
        self, _req: falcon.Request, resp: falcon.Response, name: str, backend: str = LLAMA_CPP
    ) -> None:
        """One model by any of its names."""
        _check(backend)
        respond_json(resp, 200, _entry(self._store.find(name), self._planner))


def _check(backend: str) -> None:
    if backend != LLAMA_CPP:
        raise BackendNotFoundError(backend=backend)


def _entry(model: StoredModel, planner: Planner) -> dict[str, object]:
    config = model.config
    facts = {
        "context_window": _context_window(model, planner),
        "architecture": config.architecture,
        "parameters": config.parameters,
        "quantization": config.quantization,
        "size": config.size,
    }
    return {
        "id": model.tags[0] if model.tags else model.id,
        "object": "model",
        "created": model.created,
        "owned_by": "docker",
        "dmr": {key: value for key, value in facts.items() if value},
    }


def _context_window(model: StoredModel, planner: Planner) -> int | None:
    try:
        return planner.context_size(model)
    except (
        ConfigError,
        ModelFileError,
        StoreCorruptError,
    ):  # it is listed, though it cannot be loaded
        return None
