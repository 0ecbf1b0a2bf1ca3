"""Making a loop's speculation: with a draft model, with the model's own heads, or with neither."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pyrunner import log
from pyrunner._native import DraftHeads, DraftModel, Model, Session
from pyrunner.config import EngineConfig
from pyrunner.engine.draft_lanes import READ_ROWS, DraftLanes
from pyrunner.engine.head_lanes import HeadLanes
from pyrunner.engine.loading import attention, known_context, load_model
from pyrunner.engine.speculation import Speculation
from pyrunner.errors import ModelFileError, NativeError
from pyrunner.gguf import FileStamp
from pyrunner.user_files import printable

_logger = log.get("engine")

_REMEDY = (
    "Name another draft model, such as a smaller one of the same family with the same tokenizer, "
    "or none"
)


class Models(NamedTuple):
    """What a loop is made of."""

    model: Model
    draft: Model | None
    """It guesses for the other one."""


def load_models(
    paths: Sequence[str | os.PathLike[str]],
    draft_paths: Sequence[str | os.PathLike[str]],
    config: EngineConfig,
    on_progress: Callable[[float], bool] | None = None,
    checked: Sequence[FileStamp] = (),
    *,
    has_draft_heads: bool | None = None,
) -> Models | None:
    """Load a model, and what guesses for it: another model, or else its own heads.

    Args:
        paths: GGUF files, in shard order.
        draft_paths: Those of the draft model; none where there is none.
        config: As for `load_model`; without speculation nothing is loaded that guesses.
        on_progress: As for `load_model`, over both models' bytes.
        checked: As for `load_model`, of all files: the draft model's last.
        has_draft_heads: As for `load_model`, where heads may guess.

    Returns:
        The models, or None when `on_progress` cancelled.

    Raises:
        ConfigError: A value of `config` is outside its range, or two of them exclude each other.
        ModelFileError: Not a file, not readable, not GGUF, or its header is damaged; or the draft
            model's tokens are not the other one's, or its memory cannot take guesses back.
        ModelLoadError: llama.cpp refused one; the sentence has its words.
        OutOfMemoryError: They do not fit.
    """
    checked_drafts = checked[len(paths) :]
    if not draft_paths or config.speculation == "off":
        heads = False if config.speculation == "off" else has_draft_heads
        model = load_model(paths, config, on_progress, checked, has_draft_heads=heads)
        return None if model is None else Models(model, None)
    share = _first_share(paths, draft_paths)
    model = load_model(paths, config, _part_of(on_progress, 0.0, share), checked)
    if model is None:
        return None
    draft = load_model(draft_paths, config, _part_of(on_progress, share, 1.0), checked_drafts)
    if draft is None:
        return None
    obstacle = DraftModel.obstacle(draft, model)
    if obstacle:
        raise ModelFileError(
            path=printable(Path(draft_paths[0])),
            problem=f"cannot draft for {printable(Path(paths[0]))}, because {obstacle}",
            remedy=_REMEDY,
        )
    return Models(model, draft)


def _first_share(
    paths: Sequence[str | os.PathLike[str]], draft_paths: Sequence[str | os.PathLike[str]]
) -> float:
    """The first model's of all bytes. Files that are not there are refused when they are read."""
    n_bytes, n_draft_bytes = (
        sum(path.stat().st_size for each in part if (path := Path(each)).is_file())
        for part in (paths, draft_paths)
    )
    return n_bytes / max(1, n_bytes + n_draft_bytes)


def _part_of(
    on_progress: Callable[[float], bool] | None, start: float, end: float
) -> Callable[[float], bool] | None:
    if on_progress is None:
        return None
    return lambda share: on_progress(start + share * (end - start))


def open_speculation(
    model: Model,
    session: Session | None,
    config: EngineConfig,
    draft: Model | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Speculation | None:
    """What drafts for the sequences of a session; None where nothing can.

    Args:
        model: The session's.
        session: With its first lanes.
        config: `speculation` is read, and what shapes the draft model's lanes.
        draft: Of `load_models`. It guesses rather than the heads of the session's own model.
        clock: Monotonic seconds.

    Raises:
        ContextRefusedError: llama.cpp refused the draft model's lanes.
        OutOfMemoryError: They do not fit.
    """
    if session is None:
        return None
    if not session.drops_guesses:
        if draft is not None:
            _logger.warning("this model cannot take guesses back: its draft model is not used")
        return None
    is_even = not session.drops_tails
    if config.speculation == "off":
        return Speculation(guesses=False, is_even=is_even)
    if draft is None:
        return Speculation(_own_heads(model, session, clock), is_even=is_even)
    n_ctx_most = known_context(draft)
    n_ctx = min(session.n_ctx, n_ctx_most)
    shape = replace(config, n_ctx=n_ctx, n_lanes=session.n_lanes, n_batch=READ_ROWS)
    flash_attention, n_batch = attention(draft, shape)
    native = DraftModel(
        draft,
        session,
        n_ctx=n_ctx,
        n_lanes=session.n_lanes,
        n_batch=n_batch,
        flash_attention=flash_attention,
    )
    return Speculation(DraftLanes(native, session, n_ctx_most, clock), is_even=is_even)


def _own_heads(model: Model, session: Session, clock: Callable[[], float]) -> HeadLanes | None:
    if not session.keeps_hidden:  # the model has none, or they were not loaded
        _note_idle_heads(model)
        return None
    try:
        return HeadLanes(DraftHeads(session), clock)
    except NativeError as error:
        # Nobody chose them, and the model answers as well without.
        _logger.warning("this model's own draft heads are not used: %s", error)
        return None


def _note_idle_heads(model: Model) -> None:
    n_heads = model.meta(f"{model.meta('general.architecture')}.nextn_predict_layers")
    if n_heads not in {"", "0"}:
        _logger.info(
            "draft heads that this model has (%s) are not used: they are in another file, or of a "
            "kind that is not known here",
            n_heads,
        )
