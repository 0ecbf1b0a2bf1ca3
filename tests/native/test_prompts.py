"""worker.native: which texts are refused before they are tokenised."""

import re

import pytest
from support.model_cases import BERT, LLAMA_BPE
from support.sides import Sides, on_models

from pyrunner.errors import ContextLengthError, InvalidRequestError
from pyrunner.worker.native import NativePrompts

pytestmark = [pytest.mark.native, pytest.mark.model]


@on_models([BERT])
def test_text_of_many_characters_and_few_tokens_is_taken(sides: Sides) -> None:
    prompts = NativePrompts(sides.model, None, n_ctx=512, n_embedded_max=512)
    text = ("word" + " " * 21) * 500
    assert len(text) // sides.model.max_piece_bytes > 512
    assert len(prompts.tokenize(text)) <= 512


@on_models([LLAMA_BPE])
def test_text_that_cannot_fit_is_refused_with_a_true_number(sides: Sides) -> None:
    prompts = NativePrompts(sides.model, None, n_ctx=16, n_embedded_max=8)
    text = "word " * 10_000
    with pytest.raises(ContextLengthError, match=r"at least \d+ tokens") as caught:
        prompts.tokenize(text)
    assert caught.value.n_tokens <= len(sides.model.tokenize(text))


@on_models([LLAMA_BPE])
@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["a", "a", "word " * 9], "'input[2]' has 11 tokens, but the context holds 8"),
        (["a", "word " * 10_000], "'input[1]' has at least "),
        (["word " * 9], "'input' has 11 tokens"),
        (["a", (1, -1)], "'input[1]' has a token outside 0.."),
    ],
)
def test_an_input_that_cannot_be_embedded_is_named_by_its_place(
    sides: Sides, texts: list[str | tuple[int, ...]], sentence: str
) -> None:
    prompts = NativePrompts(sides.model, None, n_ctx=16, n_embedded_max=8)
    with pytest.raises(InvalidRequestError, match=re.escape(sentence)):
        prompts.inputs(texts)


@on_models([LLAMA_BPE])
def test_a_document_that_cannot_fit_is_named_before_it_is_tokenised(sides: Sides) -> None:
    prompts = NativePrompts(sides.model, None, n_ctx=16, n_embedded_max=8)
    with pytest.raises(ContextLengthError, match=r"'documents\[1\]' with the query has at least"):
        prompts.pairs("q", ["a", "word " * 10_000])


@on_models([LLAMA_BPE])
def test_a_prediction_that_cannot_fit_is_named(sides: Sides) -> None:
    prompts = NativePrompts(sides.model, None, n_ctx=16, n_embedded_max=8)
    with pytest.raises(ContextLengthError, match=r"'prediction\.content' has at least"):
        prompts.tokenize_answer("word " * 10_000)
