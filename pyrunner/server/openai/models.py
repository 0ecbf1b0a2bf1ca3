"""``models``: what the store holds, in OpenAI's form."""

import falcon

from pyrunner.config import EngineConfig
from pyrunner.errors import BackendNotFoundError, ModelFileError, StoreCorruptError
from pyrunner.models.store import Store, StoredModel
from pyrunner.runtime.footprint import context_size
from pyrunner.server.errors import respond_json
from pyrunner.server.paths import LLAMA_CPP


class ModelList:
    """``GET .../models``: one entry per model, however many names it has."""

    def __init__(self, store: Store, engine: EngineConfig, budget_bytes: int) -> None:
        self._store = store
        self._engine = engine
        self._budget_bytes = budget_bytes

    def on_get(self, _req: falcon.Request, resp: falcon.Response, backend: str = LLAMA_CPP) -> None:
        """List in the order the models came."""
        _check(backend)
        entries = [_entry(model, self._engine, self._budget_bytes) for model in self._store.list()]
        respond_json(resp, 200, {"object": "list", "data": entries})


class ModelEntry:
    """``GET .../models/{name}``."""

    def __init__(self, store: Store, engine: EngineConfig, budget_bytes: int) -> None:
        self._store = store
        self._engine = engine
        self._budget_bytes = budget_bytes

    def on_get(
        self, _req: falcon.Request, resp: falcon.Response, name: str, backend: str = LLAMA_CPP
    ) -> None:
        """One model by any of its names."""
        _check(backend)
        respond_json(resp, 200, _entry(self._store.find(name), self._engine, self._budget_bytes))


def _check(backend: str) -> None:
    if backend != LLAMA_CPP:
        raise BackendNotFoundError(backend=backend)


def _entry(model: StoredModel, engine: EngineConfig, budget_bytes: int) -> dict[str, object]:
    config = model.config
    facts = {
        "context_window": _context_window(model, engine, budget_bytes),
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


def _context_window(model: StoredModel, engine: EngineConfig, budget_bytes: int) -> int | None:
    try:
        return context_size(model, engine, budget_bytes)
    except (ModelFileError, StoreCorruptError):  # it is listed, though it cannot be loaded
        return None
