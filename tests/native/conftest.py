"""Models, reference programs and prompts."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.headed_model import HeadedCase
from support.reference import Reference
from support.sides import Sides

from pyrunner._native import Model


@pytest.fixture(scope="session")
def model_folder(request: pytest.FixtureRequest) -> Path:
    """Where random models are kept between runs."""
    assert request.config.cache is not None
    return request.config.cache.mkdir("pyrunner-models")


@pytest.fixture(scope="module")
def sides(request: pytest.FixtureRequest, model_folder: Path) -> Iterator[Sides]:
    """One model loaded by us and by llama.cpp; ``parametrize("sides", [CASE], indirect=True)``."""
    path = request.param.file(model_folder)
    model = Model()
    has_heads = isinstance(request.param, HeadedCase) and request.param.has_head_tensors
    assert model.load([os.fsencode(path)], load_draft_heads=has_heads) == 0, model.error
    with Reference(path) as reference:
        yield Sides(path=path, model=model, reference=reference)


@pytest.fixture
def draw_tokens(sides: Sides) -> Callable[..., list[int]]:
    """Token ids that depend on nothing but the arguments; none of them is special."""

    def draw(n_tokens: int, *, seed: int = 0) -> list[int]:
        rng = random.Random(f"{n_tokens} {seed}")
        return [rng.randrange(260, sides.model.n_vocab - 300) for _ in range(n_tokens)]

    return draw
