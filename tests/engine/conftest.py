"""A small random model, loaded once."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.adapter_files import ADAPTER_SEEDS, write_adapter
from support.headed_model import HeadedCase
from support.model_cases import BERT_RANKER, LLAMA_BPE
from support.reference import Reference
from support.sides import Sides

from pyrunner import Engine
from pyrunner._native import Model
from pyrunner.config import EngineConfig

CONFIG = EngineConfig(n_ctx=1024, n_lanes=4, n_batch=128, n_threads=1, speculation="off")
"""One thread: equal step shapes then give equal numbers."""


@pytest.fixture(scope="session")
def model_path(request: pytest.FixtureRequest) -> Path:
    assert request.config.cache is not None
    return LLAMA_BPE.file(request.config.cache.mkdir("pyrunner-models"))


@pytest.fixture(scope="session")
def ranker_path(request: pytest.FixtureRequest) -> Path:
    assert request.config.cache is not None
    return BERT_RANKER.file(request.config.cache.mkdir("pyrunner-models"))


@pytest.fixture(scope="session")
def model(model_path: Path) -> Model:
    loaded = Model()
    assert loaded.load([os.fsencode(model_path)]) == 0
    return loaded


@pytest.fixture(scope="session")
def adapter_files(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Two adapters of the model, by their names."""
    folder = tmp_path_factory.mktemp("adapters")
    return {
        name: write_adapter(folder / f"{name}.gguf", model_path, seed=seed)
        for name, seed in ADAPTER_SEEDS.items()
    }


@pytest.fixture
def config() -> EngineConfig:
    return CONFIG


@pytest.fixture(scope="session")
def shared_engine(model_path: Path) -> Iterator[Engine]:
    with Engine(model_path, config=CONFIG) as opened:
        yield opened


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    """An engine in which nothing runs."""
    assert shared_engine.n_running == 0
    return shared_engine


@pytest.fixture(scope="module")
def sides(request: pytest.FixtureRequest) -> Iterator[Sides]:
    """One model loaded by us and by llama.cpp; ``parametrize("sides", [CASE], indirect=True)``."""
    assert request.config.cache is not None
    path = request.param.file(request.config.cache.mkdir("pyrunner-models"))
    loaded = Model()
    has_heads = isinstance(request.param, HeadedCase) and request.param.has_head_tensors
    assert loaded.load([os.fsencode(path)], load_draft_heads=has_heads) == 0, loaded.error
    with Reference(path) as reference:
        yield Sides(path=path, model=loaded, reference=reference)
