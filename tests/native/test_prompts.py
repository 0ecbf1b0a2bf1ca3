"""worker.native: which texts are refused before they are tokenised."""

import pytest
from support.model_cases import BERT, LLAMA_BPE
from support.sides import Sides, on_models

from pyrunner.errors import ContextLengthError
from pyrunner.worker.native import NativePrompts

pytestmark = [pytest.mark.native, pytest.mark.model]


@on_models([BERT])
def test_text_of_many_characters_and_few_tokens_is_taken(sides: Sides) -> None:
    prompts = NativePrompts(sides.model, None, n_ctx=512)
    text = ("word" + " " * 21) * 500
    assert len(text) // sides.model.max_piece_bytes > 512
    assert len(prompts.tokenize(text)) <= 512


@on_models([LLAMA_BPE])
def test_text_that_cannot_fit_is_refused_with_a_true_number(sides: Sides) -> None:
    prompts = NativePrompts(sides.model, None, n_ctx=16)
    text = "word " * 10_000
    with pytest.raises(ContextLengthError, match=r"at least \d+ tokens") as caught:
        prompts.tokenize(text)
    assert caught.value.n_tokens <= len(sides.model.tokenize(text))
