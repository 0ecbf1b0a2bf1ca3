"""Embeddings of the engine: equal inputs cost once and count each time."""

from collections.abc import Sequence

import pytest

from pyrunner import Engine
from pyrunner._native import Model
from pyrunner.engine.embedding import Embeddings

TEXTS = ["one", "two words", "one"]


def test_equal_inputs_have_equal_vectors_and_all_count(engine: Engine) -> None:
    result = engine.embed(TEXTS)
    assert result.vectors[0] == result.vectors[2] != result.vectors[1]
    assert result.n_tokens == sum(len(engine.tokenize(each)) for each in TEXTS)


def test_equal_inputs_are_computed_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = Embeddings(model, n_ctx=256, n_threads=1)
    computed: list[int] = []
    rows = embeddings.rows

    def counted(inputs: Sequence[Sequence[int]], *, normalize: bool) -> memoryview | None:
        computed.append(len(inputs))
        return rows(inputs, normalize=normalize)

    monkeypatch.setattr(embeddings, "rows", counted)
    result = embeddings.embed([[1, 2], [3], [1, 2], [1, 2]], normalize=True)
    assert computed == [2]
    assert result is not None
    assert len(result.vectors) == 4
