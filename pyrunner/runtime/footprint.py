"""How a model is loaded, and what that costs: from its files' headers alone."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pyrunner.config import (
    DEFAULT_N_LANES,
    MAX_DEFAULT_CACHE_SHARE,
    MAX_DEFAULT_N_CTX,
    EngineConfig,
)
from pyrunner.errors import ModelFileError, StoreCorruptError
from pyrunner.gguf import (
    FileStamp,
    GgufHeader,
    check_embeds,
    check_ranks,
    kv_bytes,
    n_draft_heads,
    ranks,
    read_header,
)
from pyrunner.models import runnable
from pyrunner.models.artifact import ModelConfig
from pyrunner.models.store import StoredModel
from pyrunner.runtime.layout import MIN_DEFAULT_N_CTX, choose_layout
from pyrunner.types import LaneLayout, ModelMode

_MAX_CACHED_HEADERS = 64


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the budget counts, and the configuration it was counted for."""

    engine: EngineConfig
    """With `n_ctx`, `n_lanes` and `cache_bytes` resolved."""
    size_bytes: int
    stamps: tuple[FileStamp, ...]
    """Of the files whose headers were read: the model's, then those of the one that guesses."""
    has_draft_heads: bool = False
    """Whether heads of the model itself guess; their cells are part of `size_bytes` in any case."""


def footprint(
    model: StoredModel,
    engine: EngineConfig,
    mode: ModelMode,
    budget_bytes: int,
    draft: StoredModel | None = None,
) -> Footprint:
    """Work out context and memory of a model. Reads the header of an unchanged file once.

    Every shard's header passes our own bounded reader here, before native code sees the file.

    Args:
        model: The model.
        engine: How models are loaded.
        mode: What it is loaded for.
        budget_bytes: What all models may take together. Lanes and context that nobody chose become
            fewer and less where they do not fit. A prefix cache that nobody chose the size
            of takes at most `MAX_DEFAULT_CACHE_SHARE` of it, and no more than this model leaves.
        draft: The model that guesses for it, whose bytes and cells count too.

    Raises:
        InvalidParameterError: The model is not for that mode.
        ModelFileError: One of them has no GGUF weights, or they are damaged.
        StoreCorruptError: A file is missing.
    """
    paths = _weights(model)
    draft_paths = () if draft is None else _weights(draft)
    # Only blobs come here, whose paths are digests; but a damaged one may be replaced by a sound
    # one, and a linked one be changed by its other name.
    stamps = {path: _stamp(path) for path in (*paths, *draft_paths)}
    headers = [_header(path, stamps[path]) for path in paths]
    _check_mode(headers[0], mode)
    draft_headers = [_header(path, stamps[path]) for path in draft_paths]
    files_bytes = sum(header.file_bytes for header in (*headers, *draft_headers))
    if model.mmproj_path is not None:
        files_bytes += model.mmproj_path.stat().st_size
    # For embeddings there is one unified context of f16 instead of a lane per sequence.
    is_generating = mode is ModelMode.COMPLETION
    types = (engine.cache_type_k, engine.cache_type_v) if is_generating else ("f16", "f16")

    def bytes_of(layout: LaneLayout) -> int:
        return kv_bytes(headers[0], layout.n_ctx, layout.n_lanes, *types)

    def all_bytes_of(layout: LaneLayout) -> int:
        return bytes_of(layout) + sum(_draft_bytes(each, layout) for each in draft_headers[:1])

    shaped = engine if is_generating else replace(engine, n_lanes=1)
    wanted, least = _layouts(model.config, shaped, max(0, headers[0].n_ctx_train))
    layout = choose_layout(wanted, least, all_bytes_of, budget_bytes - files_bytes)
    loaded_bytes = files_bytes + all_bytes_of(layout)
    cache_bytes = 0
    if is_generating:
        spare_bytes = max(0, budget_bytes - loaded_bytes)
        chosen_bytes = engine.cache_bytes
        most_bytes = min(bytes_of(layout), spare_bytes, int(budget_bytes * MAX_DEFAULT_CACHE_SHARE))
        cache_bytes = most_bytes if chosen_bytes < 0 else chosen_bytes
    return Footprint(
        replace(engine, n_ctx=layout.n_ctx, n_lanes=layout.n_lanes, cache_bytes=cache_bytes),
        loaded_bytes + cache_bytes,
        tuple(stamps[path] for path in (*paths, *draft_paths)),
        has_draft_heads=is_generating
        and engine.speculation != "off"
        and draft is None
        and n_draft_heads(headers) > 0,
    )


def _check_mode(header: GgufHeader, mode: ModelMode) -> None:
    if mode is ModelMode.EMBEDDING:
        check_embeds(ranks=ranks(header))
    elif mode is ModelMode.RERANKING:
        check_ranks(ranks=ranks(header))


def _draft_bytes(header: GgufHeader, layout: LaneLayout) -> int:
    """The cells of a draft model: as many lanes, no longer than it was trained for."""
    n_ctx = min(layout.n_ctx, max(0, header.n_ctx_train) or MAX_DEFAULT_N_CTX)
    return kv_bytes(header, n_ctx, layout.n_lanes)


def _layouts(
    config: ModelConfig, engine: EngineConfig, n_ctx_train: int
) -> tuple[LaneLayout, LaneLayout]:
    """The lanes a model has when memory suffices, and the least that nobody's choice excludes."""
    chosen = engine.n_ctx or _packaged_n_ctx(config, n_ctx_train)
    n_ctx = chosen or min(n_ctx_train or MAX_DEFAULT_N_CTX, MAX_DEFAULT_N_CTX)
    least_n_ctx = chosen or min(n_ctx, MIN_DEFAULT_N_CTX)
    wanted = LaneLayout(engine.n_lanes or DEFAULT_N_LANES, n_ctx)
    return wanted, LaneLayout(engine.n_lanes or 1, least_n_ctx)


def _packaged_n_ctx(config: ModelConfig, n_ctx_train: int) -> int:
    """What whoever packaged the model chose, 0 if nobody did."""
    packaged = config.context_size or 0
    if packaged < 0:  # "no limit": the whole of what it was trained for
        return n_ctx_train or MAX_DEFAULT_N_CTX
    # Docker's tools write what a model was trained for where nobody chose a size.
    if packaged and (config.is_context_chosen or packaged != n_ctx_train):
        return min(packaged, n_ctx_train or packaged)
    return 0


def _weights(model: StoredModel) -> tuple[Path, ...]:
    if not model.weight_paths:
        name = model.tags[0] if model.tags else model.id
        raise ModelFileError(path=name, problem=runnable.why_not(model))
    return model.weight_paths


@lru_cache(_MAX_CACHED_HEADERS)
def _header(path: Path, _stamp: FileStamp) -> GgufHeader:
    return read_header(path)


def _stamp(path: Path) -> FileStamp:
    try:
        return FileStamp.of(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreCorruptError(path=str(path), problem="the blob is missing") from error
