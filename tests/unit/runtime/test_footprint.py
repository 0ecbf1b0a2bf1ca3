"""runtime.footprint: context and memory of a model, from its headers."""

import dataclasses
from pathlib import Path

import pytest
from msgspec import structs
from support import artifacts
from support.gguf_files import GgufBytes, write_tiny_gguf

from pyrunner.config import MAX_DEFAULT_N_CTX, EngineConfig
from pyrunner.errors import ModelFileError, StoreCorruptError
from pyrunner.gguf import kv_bytes, read_header
from pyrunner.models.packaging import PackageOptions, package
from pyrunner.models.stored import StoredModel
from pyrunner.runtime.footprint import footprint
from pyrunner.runtime.layout import MIN_DEFAULT_N_CTX
from pyrunner.types import ModelMode


@pytest.fixture
def model(tmp_path):
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    return artifacts.add(artifacts.new_store(tmp_path), "ai/tiny", path.read_bytes())


def _n_ctx(model: StoredModel, engine: EngineConfig, budget_bytes: int) -> int:
    return footprint(model, engine, ModelMode.COMPLETION, budget_bytes).engine.n_ctx


@pytest.mark.parametrize(
    ("configured", "n_ctx"),
    [(0, 512), (256, 256), (100_000, 100_000)],
    ids=["as trained", "less", "more than trained is the operator's decision"],
)
def test_footprint_context_is_resolved(model, configured, n_ctx):
    found = footprint(model, EngineConfig(n_ctx=configured), ModelMode.COMPLETION, BUDGET)
    assert found.engine.n_ctx == n_ctx


def test_footprint_packaged_as_unlimited_takes_what_was_trained(tmp_path):
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    store = artifacts.new_store(tmp_path)
    package(store, PackageOptions(gguf=path, context_size=-1), "ai/unlimited", lambda _: None)
    found = footprint(store.find("ai/unlimited"), EngineConfig(), ModelMode.COMPLETION, BUDGET)
    assert found.engine.n_ctx == 512


CAP = MAX_DEFAULT_N_CTX
BUDGET = 10**12
ALL = 4 * CAP


@pytest.mark.parametrize(
    ("chosen", "written", "n_ctx"),
    [
        (None, None, CAP),
        (None, ALL, CAP),
        (None, ALL // 2, ALL // 2),
        (256, None, 256),
        (2 * CAP, None, 2 * CAP),
        (ALL, None, ALL),
        (2 * ALL, None, ALL),
        (-1, None, ALL),
    ],
    ids=[
        "nobody chose: capped",
        "written by another tool as trained: capped",
        "written by another tool as chosen",
        "chosen below the cap",
        "chosen above the cap",
        "chosen as trained",
        "chosen beyond what was trained",
        "chosen as unlimited",
    ],
)
@pytest.mark.parametrize("is_again", [False, True], ids=["packaged", "packaged again"])
def test_footprint_takes_the_size_that_somebody_chose(tmp_path, chosen, written, n_ctx, is_again):
    model = _packaged(tmp_path, chosen, is_again=is_again)
    config = structs.replace(model.config, context_size=written or model.config.context_size)
    model = dataclasses.replace(model, config=config)
    assert footprint(model, EngineConfig(), ModelMode.COMPLETION, BUDGET).engine.n_ctx == n_ctx
    assert _n_ctx(model, EngineConfig(), BUDGET) == n_ctx
    assert _n_ctx(model, EngineConfig(n_ctx=7), BUDGET) == 7


def _packaged(folder: Path, chosen: int | None, *, is_again: bool) -> StoredModel:
    path = write_tiny_gguf(folder / "tiny.gguf", n_ctx_train=ALL)
    store = artifacts.new_store(folder)
    first = PackageOptions(gguf=path, context_size=None if is_again else chosen)
    made = package(store, first, "ai/tiny", lambda _: None)
    again = PackageOptions(source="ai/tiny", context_size=chosen)
    return package(store, again, "ai/again", lambda _: None) if is_again else made


@pytest.fixture
def long_model(tmp_path):
    return _packaged(tmp_path, None, is_again=False)


def _budget_for(model: StoredModel, n_ctx: int, n_lanes: int, *types: str) -> int:
    header = read_header(model.weight_paths[0])
    return header.file_bytes + kv_bytes(header, n_ctx, n_lanes, *types)


@pytest.mark.parametrize(
    ("fitting", "more_bytes", "n_lanes", "n_ctx"),
    [
        ((CAP, 4), 0, 4, CAP),
        ((CAP, 4), -1, 3, CAP),
        ((CAP, 1), 0, 1, CAP),
        ((CAP, 1), -1, 1, CAP - 256),
        ((MIN_DEFAULT_N_CTX, 1), 0, 1, MIN_DEFAULT_N_CTX),
    ],
    ids=["all", "a lane less", "one lane", "less context", "the least"],
)
def test_lanes_and_context_that_nobody_chose_follow_the_budget(
    long_model, fitting, more_bytes, n_lanes, n_ctx
):
    budget = _budget_for(long_model, *fitting) + more_bytes
    found = footprint(long_model, EngineConfig(), ModelMode.COMPLETION, budget)
    assert (found.engine.n_lanes, found.engine.n_ctx) == (n_lanes, n_ctx)
    assert found.size_bytes <= budget
    assert _n_ctx(long_model, EngineConfig(), budget) == n_ctx


def test_quantised_cells_keep_lanes_that_f16_would_lose(long_model):
    budget = _budget_for(long_model, CAP, 4, "q8_0", "q8_0")
    few_bits = EngineConfig(cache_type_k="q8_0", cache_type_v="q8_0")
    assert footprint(long_model, EngineConfig(), ModelMode.COMPLETION, budget).engine.n_lanes == 2
    assert footprint(long_model, few_bits, ModelMode.COMPLETION, budget).engine.n_lanes == 4


@pytest.mark.parametrize(
    ("engine", "n_lanes", "n_ctx"),
    [
        (EngineConfig(n_lanes=4), 4, 2048),
        (EngineConfig(n_ctx=2 * CAP), 1, 2 * CAP),
        (EngineConfig(n_lanes=4, n_ctx=CAP), 4, CAP),
    ],
    ids=["lanes", "context", "both"],
)
def test_what_the_operator_chose_stays_however_short_memory_is(long_model, engine, n_lanes, n_ctx):
    budget = _budget_for(long_model, CAP, 1)
    found = footprint(long_model, engine, ModelMode.COMPLETION, budget)
    assert (found.engine.n_lanes, found.engine.n_ctx) == (n_lanes, n_ctx)


def test_a_context_that_was_packaged_stays_and_lanes_go(tmp_path):
    model = _packaged(tmp_path, 2 * CAP, is_again=False)
    budget = _budget_for(model, 2 * CAP, 2)
    found = footprint(model, EngineConfig(), ModelMode.COMPLETION, budget).engine
    assert (found.n_lanes, found.n_ctx) == (2, 2 * CAP)
    tight = footprint(model, EngineConfig(), ModelMode.COMPLETION, 1)
    assert (tight.engine.n_lanes, tight.engine.n_ctx) == (1, 2 * CAP)


def test_a_model_too_large_in_any_layout_is_counted_in_its_least(long_model):
    found = footprint(long_model, EngineConfig(), ModelMode.COMPLETION, 1)
    assert (found.engine.n_lanes, found.engine.n_ctx) == (1, MIN_DEFAULT_N_CTX)
    assert found.size_bytes == _budget_for(long_model, MIN_DEFAULT_N_CTX, 1)


def test_embeddings_get_less_context_where_memory_is_short(long_model):
    budget = _budget_for(long_model, CAP, 1) - 1
    found = footprint(long_model, EngineConfig(n_lanes=8), ModelMode.EMBEDDING, budget)
    assert found.engine.n_ctx == CAP - 256


def test_footprint_counts_the_file_and_a_lane_per_sequence(model):
    header = read_header(model.weight_paths[0])
    found = footprint(model, EngineConfig(n_lanes=3), ModelMode.COMPLETION, BUDGET)
    assert found.size_bytes == header.file_bytes + 2 * kv_bytes(header, 512, 3)  # lanes and cache


@pytest.mark.parametrize(
    ("chosen", "spare_bytes", "expected"),
    [
        (-1, 10**9, None),
        (-1, 400_000, (2656 + 393_216 + 400_000) // 16),
        (-1, 1000, 1000),
        (-1, -5, 0),
        (0, 10**9, 0),
        (7, -5, 7),
    ],
)
def test_cache_takes_what_was_chosen_or_a_part_of_what_the_model_leaves(
    model, chosen, spare_bytes, expected
):
    header = read_header(model.weight_paths[0])
    lanes_bytes = kv_bytes(header, 512, 3)
    engine = EngineConfig(n_lanes=3, cache_bytes=chosen)
    budget = header.file_bytes + lanes_bytes + spare_bytes
    found = footprint(model, engine, ModelMode.COMPLETION, budget).engine.cache_bytes
    assert found == (lanes_bytes if expected is None else expected)


def test_footprint_embeddings_need_one_context_only(model):
    header = read_header(model.weight_paths[0])
    found = footprint(model, EngineConfig(n_lanes=8), ModelMode.EMBEDDING, BUDGET)
    assert found.size_bytes == header.file_bytes + kv_bytes(header, 512, 1)


def test_footprint_file_of_nonsense_is_refused(tmp_path):
    model = artifacts.add(artifacts.new_store(tmp_path), "ai/x", b"nonsense")
    with pytest.raises(ModelFileError):
        footprint(model, EngineConfig(), ModelMode.COMPLETION, BUDGET)


def test_footprint_blob_replaced_by_another_is_read_again(model, tmp_path):
    assert _n_ctx(model, EngineConfig(), BUDGET) == 512
    (path,) = model.weight_paths
    replacement = write_tiny_gguf(tmp_path / "other.gguf", n_ctx_train=1024)
    n_bytes = path.stat().st_size
    replacement.replace(path)
    assert path.stat().st_size == n_bytes
    assert _n_ctx(model, EngineConfig(), BUDGET) == 1024


def test_footprint_file_gone_is_corrupt_even_if_it_was_read_before(model):
    footprint(model, EngineConfig(), ModelMode.COMPLETION, BUDGET)
    model.weight_paths[0].unlink()
    with pytest.raises(StoreCorruptError):
        footprint(model, EngineConfig(), ModelMode.COMPLETION, BUDGET)


def test_footprint_counts_the_files_and_cells_of_the_draft_model(model, tmp_path):
    draft = artifacts.add(
        artifacts.new_store(tmp_path),
        "ai/draft",
        write_tiny_gguf(tmp_path / "draft.gguf", n_ctx_train=128).read_bytes(),
    )
    header = read_header(draft.weight_paths[0])
    engine = EngineConfig(n_lanes=3, n_ctx=512, cache_bytes=0)
    alone = footprint(model, engine, ModelMode.COMPLETION, BUDGET)
    both = footprint(model, engine, ModelMode.COMPLETION, BUDGET, draft)
    # No more cells than it was trained for tokens.
    assert both.size_bytes - alone.size_bytes == header.file_bytes + kv_bytes(header, 128, 3)
    assert both.engine == alone.engine


def test_footprint_of_a_draft_model_takes_lanes_where_memory_is_short(long_model):
    engine = EngineConfig(cache_bytes=0)
    whole = footprint(long_model, engine, ModelMode.COMPLETION, BUDGET)
    tight = whole.size_bytes
    found = footprint(long_model, engine, ModelMode.COMPLETION, tight, long_model)
    assert found.size_bytes <= tight
    assert found.engine.n_lanes < whole.engine.n_lanes


def test_footprint_of_a_draft_model_without_weights_is_refused(model, tmp_path):
    other = artifacts.add(artifacts.new_store(tmp_path), "ai/x", b"nonsense")
    with pytest.raises(ModelFileError):
        footprint(model, EngineConfig(), ModelMode.COMPLETION, BUDGET, other)


@pytest.fixture
def headed_model(tmp_path):
    parts = GgufBytes().text("general.architecture", "hy_v3").number("hy_v3.block_count", 3)
    parts.number("hy_v3.nextn_predict_layers", 1).number("hy_v3.embedding_length", 64)
    parts.number("hy_v3.context_length", 512)
    for name in ("eh_proj", "enorm", "hnorm"):
        parts.tensor(f"blk.2.nextn.{name}.weight", (64,))
    return artifacts.add(artifacts.new_store(tmp_path), "ai/headed", parts.build())


def test_footprint_has_draft_heads_where_they_may_guess(model, headed_model):
    def has_heads(asked: StoredModel, mode: ModelMode, speculation: str, *drafts: StoredModel):
        engine = EngineConfig(speculation=speculation)
        return footprint(asked, engine, mode, BUDGET, *drafts).has_draft_heads

    assert has_heads(headed_model, ModelMode.COMPLETION, "auto")
    assert not has_heads(headed_model, ModelMode.COMPLETION, "off")
    assert not has_heads(headed_model, ModelMode.COMPLETION, "auto", model)
    assert not has_heads(headed_model, ModelMode.EMBEDDING, "auto")
    assert not has_heads(model, ModelMode.COMPLETION, "auto")


def test_footprint_counts_the_cells_of_draft_heads(headed_model):
    engine = EngineConfig(n_lanes=2, n_ctx=512, cache_bytes=0)
    header = read_header(headed_model.weight_paths[0])
    found = footprint(headed_model, engine, ModelMode.COMPLETION, BUDGET)
    # Three blocks of which one is a head: K and V of 64 numbers of two bytes each.
    assert found.size_bytes == header.file_bytes + 2 * 512 * 3 * 64 * 2 * 2
