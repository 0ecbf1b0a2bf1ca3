"""Model files to a loaded native model."""

import os
import threading
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from pathlib import Path

from pyrunner import machine_memory
from pyrunner._native import Model, Session
from pyrunner._native.status import Status
from pyrunner.config import (
    DEFAULT_N_LANES,
    MAX_DEFAULT_CACHE_SHARE,
    MAX_DEFAULT_N_CTX,
    EngineConfig,
    check_engine,
)
from pyrunner.engine.speculation import N_DRAFTS, N_FORCED
from pyrunner.errors import ConfigError, ModelLoadError, OutOfMemoryError
from pyrunner.gguf import (
    CACHE_TYPES,
    FileStamp,
    GgufHeader,
    is_quantized,
    n_draft_heads,
    read_header,
)
from pyrunner.types import ModelInfo
from pyrunner.user_files import printable

_PROGRESS_INTERVAL_S = 0.1
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
"""As llama.h counts it."""
N_BATCH_PLAIN = 192
"""Rows of a step without flash attention at most: it computes the scores of all rows at once,
heads x rows x context floats, which should stay near the processor."""
_LEAST_BATCH_PLAIN = 64
"""Fewer rows would read prompts slowly."""
MAX_SCORES_BYTES = 256 * 1024 * 1024
"""Of those, in the longest lane there may be."""


def path_list(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None,
) -> list[str | os.PathLike[str]]:
    """The paths of what is named by one, by several in order, or not at all."""
    if path is None:
        return []
    return [path] if isinstance(path, str | os.PathLike) else list(path)


def check_no_disk(config: EngineConfig) -> None:
    """Check that nobody waits for prefixes on disk, which the library has not.

    Raises:
        ConfigError: `cache_disk_bytes` is set.
    """
    if config.cache_disk_bytes:
        raise ConfigError(
            key="engine.cache_disk_bytes",
            source="EngineConfig",
            problem=f"is {config.cache_disk_bytes}: only `pyrunner serve` keeps prefixes on disk, "
            "beside the models of its store; leave it 0",
        )


def load_model(
    paths: Sequence[str | os.PathLike[str]],
    config: EngineConfig,
    on_progress: Callable[[float], bool] | None = None,
    checked: Sequence[FileStamp] = (),
    *,
    has_draft_heads: bool | None = False,
) -> Model | None:
    """Load the shards of a model.

    Every file's header passes our own bounded reader before native code sees the file; llama.cpp
    opens no others.

    Args:
        paths: GGUF files, in shard order.
        config: `n_gpu_layers` and `use_mmap` are read.
        on_progress: Called in this thread about ten times a second with a share in 0..1; False
            cancels.
        checked: Of files whose headers have passed that reader already, in the same order. Who is
            still the same is not read again, which takes longer than all else before loading.
        has_draft_heads: Whether to load heads of the model's own that draft, which
            `pyrunner.gguf.n_draft_heads` has found in the files; None asks it.

    Returns:
        The model, or None when `on_progress` cancelled.

    Raises:
        ConfigError: A value of `config` is outside its range, or two of them exclude each other.
        ModelFileError: Not a file, not readable, not GGUF, or its header is damaged.
        ModelLoadError: llama.cpp refused it; the sentence has its words.
        OutOfMemoryError: It does not fit.
    """
    check_engine(config)
    stamps = chain(checked, repeat(None))
    files = [Path(path) for path in paths]
    known = [_checked(file, stamp) for file, stamp in zip(files, stamps, strict=False)]
    if has_draft_heads is None or (has_draft_heads and any(known)):
        headers = [header or read_header(file) for header, file in zip(known, files, strict=True)]
        has_draft_heads = n_draft_heads(headers) > 0
    model = Model()

    def load() -> int:
        return model.load(
            [os.fsencode(file) for file in files],
            n_gpu_layers=config.n_gpu_layers,
            use_mmap=config.use_mmap,
            load_draft_heads=has_draft_heads,
        )

    code = load() if on_progress is None else _load_watched(model, load, on_progress)
    match Status(code):
        case Status.OK:
            return model
        case Status.CANCELLED:
            return None
        case Status.OUT_OF_MEMORY:
            raise OutOfMemoryError(during="loading the model")
        case _:
            problem = model.error or "llama.cpp gave no reason"
            raise ModelLoadError(path=printable(Path(paths[0])), problem=problem)


def _load_watched(
    model: Model, load: Callable[[], int], on_progress: Callable[[float], bool]
) -> int:
    # csrc never calls Python, so somebody has to look while it loads: this thread.
    codes: list[int] = []
    loader = threading.Thread(target=lambda: codes.append(load()), name="load")
    loader.start()
    try:
        while loader.is_alive():
            loader.join(_PROGRESS_INTERVAL_S)
            if not on_progress(model.progress):
                model.cancel()
    finally:
        model.cancel()  # does nothing once loading is over
        loader.join()
    return codes[0]


def _checked(path: Path, stamp: FileStamp | None) -> GgufHeader | None:
    """The header, if it had to be read again."""
    return None if _is_still(path, stamp) else read_header(path)


def _is_still(path: Path, stamp: FileStamp | None) -> bool:
    try:
        return stamp is not None and FileStamp.of(path) == stamp
    except OSError:  # the reader says what is wrong
        return False


def open_session(model: Model, config: EngineConfig, *, n_threads: int) -> Session:
    """Make the lanes of a model, and what its own draft heads read where they are loaded.

    Raises:
        ContextRefusedError: llama.cpp refused their size or type; the sentence has its words.
        OutOfMemoryError: They do not fit.
    """
    flash_attention, n_batch = attention(model, config)
    return Session(
        model,
        n_ctx=context_length(model, config),
        n_lanes=config.n_lanes or DEFAULT_N_LANES,
        n_batch=n_batch,
        n_threads=n_threads,
        type_k=CACHE_TYPES[config.cache_type_k],
        type_v=CACHE_TYPES[config.cache_type_v],
        flash_attention=flash_attention,
        n_drafts=N_DRAFTS if config.speculation == "auto" else N_FORCED,
    )


def attention(model: Model, config: EngineConfig) -> tuple[int, int]:
    """How attention is computed, as llama.h counts it, and rows of either part of a step at most.

    Without flash attention the scores of all rows, heads x rows x tokens of the lane, are floats in
    memory at once: the longer a lane can become, the fewer rows.
    """
    n_ctx = context_length(model, config)
    n_cells = n_ctx * (config.n_lanes or DEFAULT_N_LANES)
    n_longest = max(n_ctx, min(longest_lane(model, n_ctx), n_cells))
    n_rows = MAX_SCORES_BYTES // (4 * _n_heads(model) * n_longest)
    # PERF(engine): on a CPU ggml's flash attention goes over the cells of each row one by one
    # unless a lane has 64 rows in the pass. Without it passes take 0.43 to 0.85 of the time in
    # lanes of 1,400 tokens, and prompts are read in 0.51 to 0.76 of it in chunks of up to 256
    # ("Passes" in docs/benchmarks.md).
    is_plain_better = not model.is_offloaded and n_rows >= _LEAST_BATCH_PLAIN
    flash_attention = config.flash_attention
    if flash_attention == "auto" and is_plain_better and not is_quantized(config.cache_type_v):
        flash_attention = "off"
    n_batch = config.n_batch
    if flash_attention == "off":
        n_batch = min(n_batch, N_BATCH_PLAIN, max(n_rows, _LEAST_BATCH_PLAIN))
    return _FLASH_ATTENTION[flash_attention], n_batch


def _n_heads(model: Model) -> int:
    text = model.meta(f"{model.meta('general.architecture')}.attention.head_count")
    # One number for each layer is no text; heads are seldom smaller than this.
    return int(text) if text.isdecimal() and int(text) else max(1, model.n_embd // 64)


def n_twice(model: Model) -> int:
    """Tokens behind which reading one more takes about twice as long as reading the first.

    An estimate. The weights take 2 operations for each parameter, attention takes 4 for each token
    before, in each layer, for each number of the embedding; those count twice, because they are
    on floats and weights have fewer bits. Of experts all count, so that it is too large rather
    than too small.
    """
    text = model.meta(f"{model.meta('general.architecture')}.block_count")
    n_layers = int(text) if text.isdecimal() else 0
    return max(1, model.n_params // (4 * model.n_embd * max(1, n_layers)))


def context_length(model: Model, config: EngineConfig) -> int:
    """Tokens one sequence gets: as configured, else as trained up to `MAX_DEFAULT_N_CTX`."""
    return config.n_ctx or min(known_context(model), MAX_DEFAULT_N_CTX)


def known_context(model: Model) -> int:
    """Tokens the model was trained for, or the default where its file does not say."""
    # A file may say anything, and what does not fit 31 bits arrives here as a negative number.
    return model.n_ctx_train if model.n_ctx_train > 0 else MAX_DEFAULT_N_CTX


def longest_lane(model: Model, n_ctx: int) -> int:
    """Tokens that lanes which are made with `n_ctx` can have later on, for the model's sake.

    A model with two sets of rope factors takes one of them in a context up to its original one and
    the other in a longer one (llama.cpp's ``llama_model::get_rope_factors``): cells of one kind are
    wrong in the other.
    """
    n_original = _original_context(model)
    known = known_context(model)
    return min(known, n_original) if n_ctx <= n_original else known


def cell_facts(model: Model, config: EngineConfig) -> dict[str, object]:
    """What makes cells of equal tokens differ, beside the model and the settings themselves."""
    flash_attention, _ = attention(model, config)
    has_long_rope = 0 < _original_context(model) < context_length(model, config)
    return {"flash_attention": flash_attention, "has_long_rope": has_long_rope}


def _original_context(model: Model) -> int:
    """What rope factors were scaled from, 0 where their choice does not depend on the context."""
    rope = f"{model.meta('general.architecture')}.rope.scaling"
    text = model.meta(f"{rope}.original_context_length")
    is_fixed = model.meta(f"{rope}.type") in {"none", "linear", "yarn"}
    return int(text) if text.isdecimal() and not is_fixed else 0


def cache_budget(lanes_bytes: int, config: EngineConfig) -> int:
    """Bytes of parked states: as configured, else as for the lanes, at most a share of all."""
    if config.cache_bytes >= 0:
        return config.cache_bytes
    return min(lanes_bytes, int(machine_memory.total_bytes() * MAX_DEFAULT_CACHE_SHARE))


def describe(model: Model, session: Session | None, *, n_ctx: int, n_ctx_max: int) -> ModelInfo:
    """What clients are told about a loaded model; without a session it has no lanes."""
    return ModelInfo(
        architecture=model.meta("general.architecture"),
        description=model.description,
        n_ctx=n_ctx,
        n_ctx_max=n_ctx_max,
        n_ctx_train=model.n_ctx_train,
        n_vocab=model.n_vocab,
        n_embd=model.n_embd,
        n_params=model.n_params,
        size_bytes=model.size_bytes,
        n_lanes=0 if session is None else session.n_lanes,
        kv_bytes=0 if session is None else session.lanes_bytes,
    )
