"""The model that ships with the package, and the examination its training script holds."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model_cases import DEMO
from support.tree import ROOT

from pyrunner import Engine, _native
from pyrunner.config import EngineConfig

# The examination is data that the training script owns; nothing of it is installed.
sys.path.append(str(ROOT / "scripts"))


@pytest.fixture(scope="session")
def demo_gguf() -> Path:
    """The weights inside the installed package."""
    return DEMO.file()


@pytest.fixture(scope="session")
def demo_model(demo_gguf: Path) -> _native.Model:
    model = _native.Model()
    assert model.load([str(demo_gguf).encode()]) == 0
    return model


@pytest.fixture(scope="session")
def demo_engine(demo_gguf: Path) -> Iterator[Engine]:
    with Engine(demo_gguf, config=EngineConfig(n_lanes=8, n_threads=1)) as engine:
        yield engine
