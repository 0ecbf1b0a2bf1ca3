"""How a model is loaded, and what that costs: from its files' headers alone."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pyrunner.config import EngineConfig
from pyrunner.errors import ModelFileError, StoreCorruptError
from pyrunner.gguf import GgufHeader, kv_bytes, read_header
from pyrunner.models import runnable
from pyrunner.models.artifact import ModelConfig
from pyrunner.models.store import StoredModel
from pyrunner.types import ModelMode

MAX_DEFAULT_N_CTX = 8192
"""Context when nobody chose one: a model's full training context can fill a machine."""

_MAX_CACHED_HEADERS = 64
_CACHE_SHARE = 16


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the budget counts, and the configuration it was counted for."""

    engine: EngineConfig
    """With `n_ctx` and `cache_bytes` resolved."""
    size_bytes: int


def footprint(
    model: StoredModel, engine: EngineConfig, mode: ModelMode, budget_bytes: int
) -> Footprint:
    """Work out context and memory of a model. Reads the header of an unchanged file once.

    Every shard's header passes our own bounded reader here, before native code sees the file.

    Args:
        model: The model.
        engine: How models are loaded.
        mode: What it is loaded for.
        budget_bytes: What all models may take together. A prefix cache that nobody chose the size
            of takes at most a sixteenth of it, so that it hardly costs another model its place,
            and no more than this model leaves.

    Raises:
        ModelFileError: The model has no GGUF weights, or they are damaged.
        StoreCorruptError: A file is missing.
    """
    headers = [_header(path) for path in _weights(model)]
    n_ctx = engine.n_ctx or _n_ctx(model.config, max(0, headers[0].n_ctx_train))
    files_bytes = sum(header.file_bytes for header in headers)
    if model.mmproj_path is not None:
        files_bytes += model.mmproj_path.stat().st_size
    cache_bytes = 0
    if mode is not ModelMode.COMPLETION:
        # One unified context of f16 instead of a lane per sequence.
        lanes_bytes = kv_bytes(headers[0], n_ctx, 1)
    else:
        types = engine.cache_type_k, engine.cache_type_v
        lanes_bytes = kv_bytes(headers[0], n_ctx, engine.n_lanes, *types)
        spare_bytes = max(0, budget_bytes - files_bytes - lanes_bytes)
        chosen_bytes = engine.cache_bytes
        most_bytes = min(lanes_bytes, spare_bytes, budget_bytes // _CACHE_SHARE)
        cache_bytes = most_bytes if chosen_bytes < 0 else chosen_bytes
    return Footprint(
        replace(engine, n_ctx=n_ctx, cache_bytes=cache_bytes),
        files_bytes + lanes_bytes + cache_bytes,
    )


def context_size(model: StoredModel, engine: EngineConfig) -> int:
    """Tokens per sequence that the model is loaded with: the operator's choice, or the model's.

    Raises:
        ModelFileError: The model has no GGUF weights, or they are damaged.
        StoreCorruptError: A file is missing.
    """
    return engine.n_ctx or _n_ctx(model.config, max(0, _header(_weights(model)[0]).n_ctx_train))


def _n_ctx(config: ModelConfig, n_ctx_train: int) -> int:
    packaged = config.context_size or 0
    if packaged < 0:  # "no limit": the whole of what it was trained for
        return n_ctx_train or MAX_DEFAULT_N_CTX
    # Docker's tools write what a model was trained for where nobody chose a size.
    if packaged and (config.is_context_chosen or packaged != n_ctx_train):
        return min(packaged, n_ctx_train or packaged)
    return min(n_ctx_train or MAX_DEFAULT_N_CTX, MAX_DEFAULT_N_CTX)


def _weights(model: StoredModel) -> tuple[Path, ...]:
    if not model.weight_paths:
        name = model.tags[0] if model.tags else model.id
        raise ModelFileError(path=name, problem=runnable.why_not(model))
    return model.weight_paths


@lru_cache(_MAX_CACHED_HEADERS)
def _cached_header(path: Path, _size_bytes: int, _mtime_ns: int) -> GgufHeader:
    return read_header(path)


def _header(path: Path) -> GgufHeader:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreCorruptError(path=str(path), problem="the blob is missing") from error
    # Only blobs come here, whose paths are digests; but a damaged one may be replaced by a sound
    # one, and a linked one be changed by its other name.
    return _cached_header(path, status.st_size, status.st_mtime_ns)
