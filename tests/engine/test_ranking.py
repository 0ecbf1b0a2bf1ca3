"""Pairs of texts for models that rank, and what such a model is not for."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from support.model_cases import BERT_RANKER, QWEN3_RANKER
from support.random_model import write_random_model
from support.sides import Sides, on_models

from pyrunner import Engine
from pyrunner._native import Model
from pyrunner.config import EngineConfig
from pyrunner.engine import ranking
from pyrunner.errors import ContextLengthError, InvalidParameterError

pytestmark = [pytest.mark.native, pytest.mark.model]

QUERY = "where are images kept?"
DOCUMENTS = ("cats purr.", "a registry keeps images.", "", "cats purr.")


def _tokens(model: Model, text: str) -> list[int]:
    return model.tokenize(text, add_special=False, parse_special=False)


@on_models([BERT_RANKER])
def test_a_pair_has_what_the_vocabulary_puts_around_and_between_texts(sides: Sides) -> None:
    model = sides.model
    begin, *_, separator = model.tokenize("x", add_special=True, parse_special=False)
    found = ranking.pairs(model, "cats", ["dogs bark"], 100)
    expected = [begin, *_tokens(model, "cats"), separator, *_tokens(model, "dogs bark")]
    assert [list(each) for each in found] == [expected]


class _Templated:
    """A model whose file has a template for pairs; its tokens are characters."""

    n_scores = 2

    def meta(self, key: str) -> str:
        return "Q:{query} D:{document}." if key == "tokenizer.chat_template.rerank" else ""

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        assert (add_special, parse_special) == (False, True)
        return [ord(each) for each in text]


TEMPLATED = cast("Model", _Templated())


def test_the_model_s_own_template_is_filled_once() -> None:
    found = ranking.pairs(TEMPLATED, "a {document}", ["b {query}", "c"], 100)
    texts = ["".join(map(chr, each)) for each in found]
    assert texts == ["Q:a {document} D:b {query}.", "Q:a {document} D:c."]


@on_models([BERT_RANKER, QWEN3_RANKER])
def test_scores_are_those_of_each_pair_alone_in_reference(sides: Sides) -> None:
    with Engine(sides.path) as engine:
        result = engine.rerank(QUERY, DOCUMENTS)
    pairs = ranking.pairs(sides.model, QUERY, DOCUMENTS, 100)
    assert np.allclose(result.scores, sides.reference.rank(pairs)[:, 0], atol=2e-3)
    assert result.scores[0] == result.scores[3]  # computed once
    assert len(set(result.scores)) == 3
    assert result.n_tokens == sum(map(len, pairs))


def test_a_pair_that_is_too_long_ends_it_at_once() -> None:
    def documents() -> Iterator[str]:
        yield "x" * 100
        raise AssertionError("one is enough")

    with pytest.raises(ContextLengthError):
        ranking.pairs(TEMPLATED, "q", cast("list[str]", documents()), 100)


def test_a_pair_is_as_long_as_the_model_reads_in_one_pass(ranker_path: Path) -> None:
    with Engine(ranker_path, config=EngineConfig(n_ctx=4096)) as engine:
        most = engine.info.n_ctx_train
        assert most < 4096
        with pytest.raises(ContextLengthError, match=rf"documents\[0\].*holds {most}"):
            engine.rerank("x", ["long " * (most + 8)])


def test_all_pairs_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "MAX_PAIRS_TOKENS", 18)
    assert len(ranking.pairs(TEMPLATED, "q", ["x", "y"], 100)) == 2
    with pytest.raises(InvalidParameterError, match="more than 18 tokens"):
        ranking.pairs(TEMPLATED, "q", ["x", "y", "z"], 100)


def test_a_model_without_the_classifier_that_it_claims_does_not_rank(tmp_path: Path) -> None:
    shape = QWEN3_RANKER.shape | {"has_classifier": False}
    path = write_random_model(tmp_path / "m.gguf", vocab="qwen2", **shape)
    with Engine(path) as engine, pytest.raises(InvalidParameterError, match="classifier"):
        engine.rerank("x", ["y"])


def test_a_model_that_ranks_makes_no_embeddings(ranker_path: Path) -> None:
    with Engine(ranker_path) as engine, pytest.raises(InvalidParameterError, match="ask it to"):
        engine.embed(["x"])


def test_a_model_that_does_not_rank_says_so(engine: Engine) -> None:
    with pytest.raises(InvalidParameterError, match="pooling_type"):
        engine.rerank("x", ["y"])


def test_what_cannot_be_scored_is_refused(ranker_path: Path) -> None:
    with Engine(ranker_path) as engine:
        with pytest.raises(ContextLengthError, match=r"'documents\[1\]' with the query has \d+"):
            engine.rerank("x", ["y", "long " * 2000])
        with pytest.raises(InvalidParameterError, match="empty"):
            engine.rerank("x", [])
        with pytest.raises(InvalidParameterError, match="Unicode"):
            engine.rerank("\ud800", ["y"])
        assert len(engine.rerank("x", ["y"]).scores) == 1
