"""The tokens in which llguidance forces text."""

import re

import pytest
from llguidance import LLMatcher
from support.model_cases import LLAMA_BPE, LLAMA_SPM
from support.sides import Sides, on_models

from pyrunner._native import Model
from pyrunner.chat.matching import TokenConstraint, new_matcher
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
    for part, is_fit in zip(parts, fits, strict=True):
        for each in _forced(vocabulary, part.replace("MARK", mark)):
            constraint.accept(each)
        assert bool(constraint.mask[token // 32] >> token % 32 & 1) is is_fit
