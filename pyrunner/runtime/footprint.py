"""How a model is loaded, and what that costs: from its files' headers alone."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pyrunner.config import EngineConfig
from pyrunner.errors import ModelFileError, StoreCorruptError
from pyrunner.models import runnable
from pyrunner.models.gguf import GgufHeader, kv_bytes, read_header
from pyrunner.models.store import StoredModel
from pyrunner.types import ModelMode

MAX_DEFAULT_N_CTX = 8192
"""Context when nobody chose one: a model's full training context can fill a machine."""

_MAX_CACHED_HEADERS = 64


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the budget counts, and the configuration it was counted for."""

    engine: EngineConfig
    """With `n_ctx` resolved."""
    size_bytes: int


def footprint(model: StoredModel, engine: EngineConfig, mode: ModelMode) -> Footprint:
    """Work out context and memory of a model. Reads the headers once per process.

    Every shard's header passes our own bounded reader here, before native code sees the file.

    Raises:
        ModelFileError: The model has no GGUF weights, or they are damaged.
        StoreCorruptError: A file is missing.
    """
    if not model.weight_paths:
        name = model.tags[0] if model.tags else model.id
        raise ModelFileError(path=name, problem=runnable.why_not(model))
    headers = [_header(path) for path in model.weight_paths]
    # -1 is a packaged "unlimited"; nobody's memory is.
    packaged = max(0, model.config.context_size or 0)
    n_ctx = engine.n_ctx or min(
        packaged or headers[0].n_ctx_train or MAX_DEFAULT_N_CTX, MAX_DEFAULT_N_CTX
    )
    # An embedding worker has one unified context instead of a lane per sequence.
    n_lanes = engine.n_lanes if mode is ModelMode.COMPLETION else 1
    files_bytes = sum(header.file_bytes for header in headers)
    if model.mmproj_path is not None:
        files_bytes += model.mmproj_path.stat().st_size
    return Footprint(
        replace(engine, n_ctx=n_ctx), files_bytes + kv_bytes(headers[0], n_ctx, n_lanes)
    )


@lru_cache(_MAX_CACHED_HEADERS)
def _cached_header(path: Path) -> GgufHeader:
    # A blob's path is its digest, so what was read once stays true.
    return read_header(path)


def _header(path: Path) -> GgufHeader:
    if not path.exists():
        raise StoreCorruptError(path=str(path), problem="the blob is missing")
    return _cached_header(path)
