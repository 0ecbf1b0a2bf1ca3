"""Text to tokens and back, as llama.cpp does it, on every vocabulary it ships."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.random_model import VOCABULARIES
from support.reference import Reference

from pyrunner._native import Model
from pyrunner.errors import InvariantError

pytestmark = pytest.mark.native

FILES = sorted(VOCABULARIES.glob("ggml-vocab-*.gguf"))
NAMED = [path for path in FILES if Path(f"{path}.inp").exists()]

TEXTS = {
    "empty": "",
    "space": " ",
    "spaces": " " * 70,
    "breaks": "\n\n \n\t\t\r\n\x0b\x0c\n",
    "words": "Hello world, it's  me -- don't WE'LL I'VE",
    "leading-space": "  Hello",
    "digits": "0 1 12 123 1234 12345 3.14159 1e-9 00001 2026-11-23",
    "accents": (
        "\u00dcn\u00efc\u00f6d\u00e9 na\u00efve fa\u00e7ade Gr\u00f6\u00dfe \u0130stanbul \u01c5"
    ),
    "combining": "e\u0301 a\u030a\u0323 n\u0303 \u0301\u0301\u0301",
    "cjk": (
        "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u3053\u3093\u306b\u3061\u306f \uc548\ub155"
        "\ud558\uc138\uc694 \U0002070e\U00020731"
    ),
    "right-to-left": (
        "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u05e9"
        "\u05dc\u05d5\u05dd \u200fabc\u200e"
    ),
    "thai": (
        "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01 \u0e51"
        "\u0e52\u0e53"
    ),
    "emoji": (
        "\U0001f44b\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 "
        "\U0001f3f3\ufe0f\u200d\U0001f308 \U0001f1e9\U0001f1ea \u2764\ufe0f \U0001f937"
        "\U0001f3ff\u200d\u2640\ufe0f"
    ),
    "invisible": "a\u200bb\u200dc\u00add\ufeffe\u2028f\u2029g\u00a0h",
    "private": "\ue000 \U000f0000 \U0010fffd \ufffd \ufffe",
    "null": "a\x00b\x00\x00c",
    "controls": "\x01\x02\x1b[31m\x7f\x80\x9f",
    "control-tokens": "<|im_start|>user\nhi<|im_end|><s></s><unk>[INST]<|endoftext|><|eot_id|>",
    "byte-tokens": "<0x0A><0xFF><0x00> \u2581\u2581 ##ing [CLS][SEP][MASK]",
    "code": "def f(x):\n    return {'a': [x+1, 0xFF]}  # ok?\n\n\n\tpass\r\n",
    "long-word": "a" * 3000,
    "long-text": "The quick brown fox jumps over the lazy dog. " * 200,
    "punctuation": (
        "!?.,;:-_'\"`~@#$%^&*()[]{}<>/\\|+=\u2026 \u201cquoted\u201d \u2018single\u2019 "
        "\u00ab guillemets \u00bb"
    ),
}


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem[11:])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Model, Reference]]:
    """One vocabulary on our side and on llama.cpp's."""
    model = Model()
    assert model.load([os.fsencode(request.param)], vocab_only=True) == 0, model.error
    with Reference(request.param, is_vocab_only=True) as reference:
        yield model, reference


@pytest.mark.parametrize("parse_special", [False, True], ids=["as-text", "parsed"])
@pytest.mark.parametrize("add_special", [False, True], ids=["bare", "with-special"])
def test_tokens_of_nasty_texts_equal_reference(
    both: tuple[Model, Reference], *, add_special: bool, parse_special: bool
) -> None:
    model, reference = both
    options = {"add_special": add_special, "parse_special": parse_special}
    ours = {name: model.tokenize(text, **options) for name, text in TEXTS.items()}
    theirs = {name: reference.tokenize(text, **options) for name, text in TEXTS.items()}
    assert ours == theirs


@pytest.mark.parametrize("render_special", [False, True], ids=["hidden", "rendered"])
def test_bytes_of_every_token_equal_reference(
    both: tuple[Model, Reference], *, render_special: bool
) -> None:
    model, reference = both
    tokens = range(model.n_vocab)
    pieces = reference.pieces(tokens, render_special=render_special)
    assert len(pieces) == model.n_vocab
    assert model.detokenize(tokens, render_special) == b"".join(pieces)


def test_text_survives_tokens_and_back_as_in_reference(both: tuple[Model, Reference]) -> None:
    model, reference = both
    for text in TEXTS.values():
        tokens = model.tokenize(text, add_special=False, parse_special=True)
        pieces = reference.pieces(tokens, render_special=True)
        assert model.detokenize(tokens, render_special=True) == b"".join(pieces)


def test_facts_of_a_vocabulary_equal_reference(both: tuple[Model, Reference]) -> None:
    model, reference = both
    assert model.n_vocab == reference.facts.n_vocab
    assert tuple(model.end_of_generation_tokens) == reference.facts.end_of_generation


@pytest.mark.parametrize("path", NAMED, ids=lambda path: path.stem[11:])
def test_tokens_equal_the_ids_upstream_recorded(path: Path) -> None:
    """llama.cpp's own test data, written by the models' original tokenizers."""
    model = Model()
    assert model.load([os.fsencode(path)], vocab_only=True) == 0
    texts = Path(f"{path}.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    recorded = Path(f"{path}.out").read_text().split("\n")
    expected = [[int(word) for word in line.split()] for line in recorded[: len(texts)]]
    assert len(expected) > 40
    ours = [model.tokenize(text, add_special=False) for text in texts[: len(expected)]]
    assert ours == expected


def test_text_that_utf8_cannot_encode_is_refused(both: tuple[Model, Reference]) -> None:
    model, _ = both
    with pytest.raises(UnicodeEncodeError):
        model.tokenize("half a pair \ud83d")


@pytest.mark.parametrize("token", [-1, 2**31 - 1, -(2**31)])
def test_token_outside_the_vocabulary_has_no_bytes(
    both: tuple[Model, Reference], token: int
) -> None:
    model, _ = both
    with pytest.raises(InvariantError):
        model.detokenize([5, token])
    with pytest.raises(InvariantError):
        model.detokenize([model.n_vocab])
