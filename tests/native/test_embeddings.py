"""Embeddings: packed texts equal each text alone, whatever its length."""

import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from support.model_cases import (
    BERT,
    BERT_RANKER,
    EMBEDDING,
    GEMMA_EMBEDDING,
    LLAMA_SPM,
    QWEN3_RANKER,
)
from support.sides import Sides, on_models

from pyrunner._native import Embedder
from pyrunner.errors import InvalidParameterError, InvariantError

pytestmark = [pytest.mark.native, pytest.mark.model]

LENGTHS = (5, 1, 130, 17, 300, 2, 64, 257, 33, 9)


def _embed(
    embedder: Embedder, texts: list[list[int]], *, normalize: bool = True
) -> npt.NDArray[np.float32]:
    tokens = [token for text in texts for token in text]
    rows = np.asarray(embedder.embed(tokens, [len(text) for text in texts], normalize))
    return rows.reshape(len(texts), -1)


def _rows(embedder: Embedder, texts: list[list[int]]) -> npt.NDArray[np.float32]:
    return _embed(embedder, texts, normalize=False)


def _cosines(
    ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """One per pair; both sides have length 1."""
    result: npt.NDArray[np.float32] = np.einsum("ij,ij->i", ours, theirs)
    return result


@on_models(EMBEDDING)
def test_packed_texts_of_unequal_length_equal_each_alone_in_reference(
    sides: Sides, draw_tokens: Callable[..., list[int]]
) -> None:
    model, reference = sides.model, sides.reference
    texts = [draw_tokens(n, seed=n) for n in LENGTHS]
    ours = _embed(Embedder(model, n_ctx=1024, n_threads=1), texts)
    theirs = reference.embed(texts)
    assert ours.shape == (len(LENGTHS), model.n_embd)
    assert np.allclose(np.linalg.norm(ours, axis=1), 1.0, atol=1e-5)
    assert _cosines(ours, theirs).min() >= 0.999
    # The vectors tell texts apart, or the comparison above would prove nothing.
    assert _cosines(ours, np.roll(theirs, 1, axis=0)).max() < 0.99


@pytest.mark.parametrize("n_tokens", [513, 1100])
@on_models([LLAMA_SPM])
def test_text_longer_than_one_ubatch_equals_reference_in_one(
    n_tokens: int, sides: Sides, draw_tokens: Callable[..., list[int]]
) -> None:
    model, reference = sides.model, sides.reference
    long = draw_tokens(n_tokens, seed=1)
    texts = [[7, 8, 9], long, [10, 11], long[:512]]
    ours = _embed(Embedder(model, n_ctx=2048, n_threads=1), texts)
    assert _cosines(ours, reference.embed(texts)).min() >= 0.999


@on_models([BERT, GEMMA_EMBEDDING])
def test_longest_text_of_a_model_without_causal_mask_equals_reference(
    sides: Sides, draw_tokens: Callable[..., list[int]]
) -> None:
    model, reference = sides.model, sides.reference
    embedder = Embedder(model, n_ctx=4096, n_threads=1)
    assert Embedder.n_tokens_max(model, 4096) == model.n_ctx_train
    texts = [draw_tokens(n, seed=n) for n in (1024, 3, 700)]
    assert _cosines(_embed(embedder, texts), reference.embed(texts)).min() >= 0.999


@on_models([BERT_RANKER, QWEN3_RANKER])
def test_packed_texts_are_scored_as_each_alone_in_reference(
    sides: Sides, draw_tokens: Callable[..., list[int]]
) -> None:
    model, reference = sides.model, sides.reference
    texts = [draw_tokens(n, seed=n) for n in LENGTHS]
    embedder = Embedder(model, n_ctx=1024, n_threads=1)
    assert embedder.n_out == model.n_scores > 0
    ours, theirs = _rows(embedder, texts), reference.rank(texts)
    assert np.allclose(ours, theirs, atol=2e-3)
    # The scores tell texts apart, or the comparison above would prove nothing.
    assert np.abs(ours[:, 0] - np.roll(theirs[:, 0], 1)).mean() > 0.05


@on_models([QWEN3_RANKER])
def test_a_text_longer_than_one_ubatch_is_scored_by_its_end(
    sides: Sides, draw_tokens: Callable[..., list[int]]
) -> None:
    model, reference = sides.model, sides.reference
    texts = [[7, 8, 9], draw_tokens(1100, seed=1), [10, 11]]
    ours = _rows(Embedder(model, n_ctx=2048, n_threads=1), texts)
    assert np.allclose(ours, reference.rank(texts), atol=2e-3)


@on_models([BERT])
def test_more_texts_than_one_pass_takes_keep_their_order(
    sides: Sides, draw_tokens: Callable[..., list[int]]
) -> None:
    model, reference = sides.model, sides.reference
    texts = [draw_tokens(1 + n % 7, seed=n) for n in range(150)]
    ours = _embed(Embedder(model, n_ctx=512, n_threads=1), texts)
    assert _cosines(ours, reference.embed(texts)).min() >= 0.999


@on_models([LLAMA_SPM])
def test_same_text_gives_the_same_vector_after_other_texts(
    sides: Sides, draw_tokens: Callable[..., list[int]]
) -> None:
    """Cells of earlier texts must not stay in the context."""
    model = sides.model
    embedder = Embedder(model, n_ctx=1024, n_threads=1)
    text = draw_tokens(40, seed=1)
    first = _embed(embedder, [text])
    for n in (900, 3, 511):
        _embed(embedder, [draw_tokens(n, seed=n)])
    assert np.array_equal(_embed(embedder, [text]), first)


@on_models([LLAMA_SPM])
def test_interrupt_ends_a_long_text_and_the_next_is_right(
    sides: Sides, draw_tokens: Callable[..., list[int]]
) -> None:
    embedder = Embedder(sides.model, n_ctx=2048, n_threads=1)
    long, short = draw_tokens(2000), draw_tokens(40, seed=1)
    expected = _embed(embedder, [short])
    found: list[memoryview | None] = []
    thread = threading.Thread(target=lambda: found.append(embedder.embed(long, [len(long)])))
    thread.start()
    while thread.is_alive():
        embedder.interrupt()
    assert found == [None]
    assert np.array_equal(_embed(embedder, [short]), expected)


@on_models([LLAMA_SPM])
def test_vectors_keep_their_length_when_not_normalized(sides: Sides) -> None:
    model = sides.model
    embedder = Embedder(model, n_ctx=512, n_threads=1)
    raw = np.asarray(embedder.embed([5, 6, 7], [3], normalize=False))
    scaled = np.asarray(embedder.embed([5, 6, 7], [3]))
    assert abs(np.linalg.norm(raw) - 1) > 0.1
    assert np.allclose(raw / np.linalg.norm(raw), scaled, atol=1e-6)


@on_models([LLAMA_SPM])
def test_text_longer_than_the_context_is_refused_and_the_next_works(sides: Sides) -> None:
    model = sides.model
    embedder = Embedder(model, n_ctx=600, n_threads=1)
    n_tokens = Embedder.n_tokens_max(model, 600)
    with pytest.raises(InvalidParameterError):
        embedder.embed([5] * (n_tokens + 1), [n_tokens + 1])
    assert _embed(embedder, [[5] * n_tokens]).shape == (1, model.n_embd)


@pytest.mark.parametrize(
    ("tokens", "lengths"),
    [([5, 6], [3]), ([5, 6], [1]), ([5], [0, 1]), ([5, 6], [3, -1]), ([-1], [1]), ([10**9], [1])],
    ids=["too-few", "too-many", "empty-text", "negative", "negative-token", "unknown-token"],
)
@on_models([LLAMA_SPM])
def test_packing_that_does_not_add_up_is_refused(
    tokens: list[int], lengths: list[int], sides: Sides
) -> None:
    model = sides.model
    embedder = Embedder(model, n_ctx=512, n_threads=1)
    with pytest.raises(InvariantError):
        embedder.embed(tokens, lengths)


@on_models([LLAMA_SPM])
def test_no_texts_give_no_vectors(sides: Sides) -> None:
    model = sides.model
    nothing = Embedder(model, n_ctx=512, n_threads=1).embed([], [])
    assert nothing is not None
    assert nothing.nbytes == 0


@pytest.mark.parametrize("n_threads", [0, -1, 513])
@on_models([LLAMA_SPM])
def test_a_number_of_threads_outside_the_range_is_refused(sides: Sides, n_threads: int) -> None:
    with pytest.raises(InvariantError):
        Embedder(sides.model, n_ctx=64, n_threads=1).set_threads(n_threads)
