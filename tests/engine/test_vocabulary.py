"""The tokens in which llguidance forces text."""

import pytest
from support.model_cases import LLAMA_BPE
from support.sides import Sides, on_models

from pyrunner.chat.vocabulary import Vocabulary

pytestmark = [pytest.mark.native, pytest.mark.model]

MARK = "<|reserved_special_token_1|>"
TEXT = f'get_weather{MARK}{{"place": "K\u00f6ln"}}'


@on_models([LLAMA_BPE])
def test_a_mark_inside_forced_text_is_the_control_token_that_a_parser_looks_for(
    sides: Sides,
) -> None:
    model = sides.model
    (mark,) = model.tokenize(MARK, add_special=False, parse_special=True)
    tokens = Vocabulary(model, visible={mark}).tokenizer.tokenize_bytes(TEXT.encode())
    assert tokens == model.tokenize(TEXT, add_special=False, parse_special=True)
    assert mark in tokens


@on_models([LLAMA_BPE])
def test_other_control_tokens_are_never_forced(sides: Sides) -> None:
    model = sides.model
    (mark,) = model.tokenize(MARK, add_special=False, parse_special=True)
    tokens = Vocabulary(model).tokenizer.tokenize_bytes(TEXT.encode())
    assert tokens == model.tokenize(TEXT, add_special=False)
    assert mark not in tokens
