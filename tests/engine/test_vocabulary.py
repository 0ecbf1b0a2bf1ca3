"""The tokens in which llguidance forces text."""

import itertools
import re
from array import array

import pytest
from llguidance import LLMatcher
from support.model_cases import LLAMA_BPE, LLAMA_SPM
from support.sides import Sides, on_models

from pyrunner._native import Model
from pyrunner.chat.matching import TokenConstraint, forbid, new_matcher
from pyrunner.chat.vocabulary import Vocabulary

pytestmark = [pytest.mark.native, pytest.mark.model]

ARGUMENTS = '{"place": "K\u00f6ln"}'


def _control(model: Model) -> tuple[str, int]:
    """Of either vocabulary, one that ends no answer."""
    texts = ("<|reserved_special_token_1|>", "<s>")
    return next(
        (text, tokens[0])
        for text in texts
        if len(tokens := model.tokenize(text, add_special=False, parse_special=True)) == 1
    )


def _has(mask: memoryview, token: int) -> bool:
    return bool(mask[token // 32] >> token % 32 & 1)


def _forced(vocabulary: Vocabulary, text: str) -> list[int]:
    tokens: list[int] = vocabulary.tokenizer.tokenize_bytes(text.encode())
    assert b"".join(vocabulary.pieces[token] for token in tokens) == text.encode()
    return tokens


@on_models([LLAMA_BPE, LLAMA_SPM])
def test_a_mark_inside_forced_text_is_the_control_token_that_a_parser_looks_for(
    sides: Sides,
) -> None:
    mark, token = _control(sides.model)
    vocabulary = Vocabulary(sides.model, visible={token})
    name, arguments = _forced(vocabulary, "get_weather"), _forced(vocabulary, ARGUMENTS)
    said = _forced(vocabulary, f"get_weather{mark}{ARGUMENTS}{mark}")
    assert said == [*name, token, *arguments, token]


@on_models([LLAMA_BPE, LLAMA_SPM])
def test_other_control_tokens_are_letters_beside_a_mark(sides: Sides) -> None:
    mark, token = _control(sides.model)
    (end, *_) = sides.model.end_of_generation_tokens
    end_text = sides.model.detokenize([end], render_special=True).decode()
    said = _forced(Vocabulary(sides.model, visible={token}), f"{end_text}{mark}{end_text}")
    assert token in said
    assert end not in said
    assert token not in _forced(Vocabulary(sides.model), f"x{mark}y")


@on_models([LLAMA_BPE])
def test_a_mark_that_ends_an_answer_is_never_forced(sides: Sides) -> None:
    (end, *_) = sides.model.end_of_generation_tokens
    end_text = sides.model.detokenize([end], render_special=True).decode()
    assert end not in _forced(Vocabulary(sides.model, visible={end}), f'"{end_text}"')


@on_models([LLAMA_BPE, LLAMA_SPM])
@pytest.mark.parametrize(
    ("regex", "parts", "fits"),
    [
        ('"[^"]*"', ('"', "Bonn", '"'), [False, False, True]),
        ("x[0-9]{2}b*MARK", ("x", "12", "MARK"), [False, True, True]),
    ],
    ids=["text may have it", "text ends with it"],
)
def test_a_mark_that_ends_an_answer_fits_where_the_text_may_end_with_it(
    sides: Sides, regex: str, parts: tuple[str, ...], fits: list[bool]
) -> None:
    (token, *_) = sides.model.end_of_generation_tokens
    mark = sides.model.detokenize([token], render_special=True).decode()
    vocabulary = Vocabulary(sides.model, visible={token})
    assert set(vocabulary.visible_ends) == {token}
    regex = regex.replace("MARK", re.escape(mark))
    matcher = new_matcher(vocabulary, LLMatcher.grammar_from_regex(regex))
    constraint = TokenConstraint(matcher, "response_format", vocabulary)
    said = [_forced(vocabulary, part.replace("MARK", mark)) for part in parts]
    ahead = constraint.masks_behind([token for part in said for token in part])
    for part, is_fit in zip(said, fits, strict=True):
        for each in part:
            constraint.accept(each)
        assert _has(constraint.mask, token) is is_fit
    ends = list(itertools.accumulate(map(len, said)))
    assert [_has(ahead[end - 1], token) for end in ends] == fits


@pytest.mark.parametrize("token", [0, 30, 31, 32, 63])
@pytest.mark.parametrize("full", [-1, 0])
def test_a_token_is_taken_out_of_a_mask_and_no_other(token: int, full: int) -> None:
    words = array("i", [full, full])
    forbid(words, token)
    bits = [word >> bit & 1 for word in words for bit in range(32)]
    assert bits == [int(full == -1 and i != token) for i in range(64)]
