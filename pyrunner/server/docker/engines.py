"""``/engines``: status, ps, df, unload. There is one engine, and it is built in."""

import falcon
import msgspec

import pyrunner
from pyrunner.errors import InvalidParameterError
from pyrunner.models import housekeeping
from pyrunner.models.store import Store
from pyrunner.server.body import convert, read_json
from pyrunner.server.docker import rendering
from pyrunner.server.errors import respond_error, respond_json
from pyrunner.server.paths import LLAMA_CPP
from pyrunner.server.ports import Models

_OTHER_BACKENDS = ("diffusers", "mlx", "sglang", "vllm")


class EngineStatus:
    """``GET /engines/status``."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """What Docker's clients list, name to text."""
        states = dict.fromkeys(_OTHER_BACKENDS, "Not Installed")
        states[LLAMA_CPP] = f"Running: pyrunner {pyrunner.__version__}"
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(dict(sorted(states.items())))


class Running:
    """``GET /engines/ps``."""

    def __init__(self, runtime: Models) -> None:
        self._runtime = runtime

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Every loaded model."""
        respond_json(resp, 200, [rendering.runner(each) for each in self._runtime.running()])


class DiskUsage:
    """``GET /engines/df``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Bytes of the models, each blob once, of kept prefixes, and of the engine."""
        respond_json(
            resp,
            200,
            {
                "models_disk_usage": housekeeping.models_bytes(self._store),
                "default_backend_disk_usage": housekeeping.engine_bytes(),
                "prefix_cache_disk_usage": housekeeping.prefixes_bytes(self._store),
            },
        )


class _UnloadBody(msgspec.Struct, forbid_unknown_fields=True):
    all: bool = False
    backend: str = ""
    models: list[str] = []
    force: bool = False
    """Ours, not Docker's: also those that are loading, answering, or hung."""


class Unloading:
    """``POST /engines/unload``."""

    def __init__(self, runtime: Models, max_body_bytes: int) -> None:
        self._runtime = runtime
        self._max_body_bytes = max_body_bytes

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Unload models and say how many; of another backend there are none."""
        try:
            asked = convert(read_json(req, self._max_body_bytes), _UnloadBody)
        except InvalidParameterError as error:
            respond_error(req, resp, error, f"invalid request: {error.sentence}")
            return
        n_unloaded = 0
        if asked.backend in ("", LLAMA_CPP) and (asked.all or asked.models):
            models = None if asked.all else asked.models
            n_unloaded = self._runtime.unload(models, only_idle=not asked.force)
        respond_json(resp, 200, {"unloaded_runners": n_unloaded})
