"""What is chosen for a model before its lanes are made."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pyrunner._native import Model
from pyrunner.config import EngineConfig
from pyrunner.engine.loading import (
    MAX_SCORES_BYTES,
    N_BATCH_PLAIN,
    attention,
    cell_facts,
    longest_lane,
)

AUTO, OFF, ON = -1, 0, 1


def _model(
    n_heads: str = "9", n_ctx_train: int = 2048, rope: dict[str, str] | None = None, **facts: Any
) -> Model:
    meta = {"general.architecture": "llama", "llama.attention.head_count": n_heads}
    meta |= {f"llama.rope.scaling.{key}": value for key, value in (rope or {}).items()}
    given = {"is_offloaded": False, "n_embd": 576, "n_ctx_train": n_ctx_train} | facts
    return cast("Model", SimpleNamespace(meta=lambda key: meta.get(key, ""), **given))


def test_a_cpu_does_without_flash_attention() -> None:
    assert attention(_model(), EngineConfig()) == (OFF, N_BATCH_PLAIN)


def test_a_gpu_is_left_to_llama_cpp() -> None:
    assert attention(_model(is_offloaded=True), EngineConfig()) == (AUTO, 512)


def test_quantised_v_cells_are_left_to_llama_cpp() -> None:
    assert attention(_model(), EngineConfig(cache_type_v="q8_0")) == (AUTO, 512)


@pytest.mark.parametrize(("chosen", "found"), [("on", (ON, 512)), ("off", (OFF, N_BATCH_PLAIN))])
def test_what_was_chosen_stays(chosen: str, found: tuple[int, int]) -> None:
    assert attention(_model(), EngineConfig(flash_attention=chosen)) == found


def test_fewer_rows_than_fit_are_left_as_they_were_chosen() -> None:
    assert attention(_model(), EngineConfig(n_batch=48)) == (OFF, 48)


@pytest.mark.parametrize("n_heads", ["1", "32", "128", ""])
@pytest.mark.parametrize("n_ctx", [512, 8192, 32768, 131072])
def test_scores_stay_within_their_limit_or_flash_attention_stays_on(
    n_heads: str, n_ctx: int
) -> None:
    config = EngineConfig(n_ctx=n_ctx, n_lanes=4)
    model = _model(n_heads, n_ctx_train=131072, n_embd=4096)
    flash_attention, n_rows = attention(model, config)
    n_longest = max(n_ctx, min(131072, 4 * n_ctx))
    if flash_attention == OFF:
        assert 64 <= n_rows <= N_BATCH_PLAIN
        assert 4 * int(n_heads or 64) * n_rows * n_longest <= MAX_SCORES_BYTES
    else:
        assert n_rows == 512


_TWO_SETS = {"original_context_length": "4096"}


@pytest.mark.parametrize("rope", [{}, _TWO_SETS | {"type": "yarn"}, {"type": "linear"}])
def test_lanes_become_as_long_as_a_model_was_trained_for(rope: dict[str, str]) -> None:
    assert longest_lane(_model(n_ctx_train=131072, rope=rope), 2048) == 131072


@pytest.mark.parametrize("rope", [_TWO_SETS, _TWO_SETS | {"type": "longrope"}])
@pytest.mark.parametrize(
    ("n_ctx", "n_longest", "has_long_rope"),
    [(2048, 4096, False), (4096, 4096, False), (4352, 131072, True)],
)
def test_no_lane_becomes_so_long_that_other_rope_factors_hold(
    rope: dict[str, str], n_ctx: int, n_longest: int, has_long_rope: bool
) -> None:
    model = _model(n_ctx_train=131072, rope=rope)
    assert longest_lane(model, n_ctx) == n_longest
    assert cell_facts(model, EngineConfig(n_ctx=n_ctx))["has_long_rope"] is has_long_rope
