"""llama.cpp cuts text with the shipped vocabulary exactly as the library it was made with does."""

from pathlib import Path

import gguf
import pytest
from demo_model.tokenizer import QWEN2_RULE
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

from pyrunner import _native

TEXTS = [
    "Explain Docker in simple terms.",
    'What is an OCI artifact?\n\nAnswer in JSON: {"name": "Ada", "age": 36}',
    "0123456789 3.14159 2026-11-23 1e-9 0x7f",
    "  leading, trailing  \t\n\r\n and   inner   spaces  ",
    "don't we'll I'M they'VE it's",
    "caf\u00e9 na\u00efve \u65e5\u672c\u8a9e \u0416\u0443\u043a \U0001f600\U0001f680 e\u0301",
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>',
    "snake_case CamelCase kebab-case a/b\\c !!! ??? ... ;;;",
    "\u00a0\u2028\u3000 odd spaces",
    "",
]


@pytest.fixture(scope="module")
def library_tokenizer(demo_gguf: Path) -> Tokenizer:
    """The vocabulary and merges of the file, in the library's own tokenizer."""
    fields = gguf.GGUFReader(demo_gguf).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    bpe = models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges)
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_RULE), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    control = [
        AddedToken(token, special=True, normalized=False)
        for token, kind in zip(tokens, kinds, strict=True)
        if kind == gguf.TokenType.CONTROL
    ]
    tokenizer.add_special_tokens(control)
    return tokenizer


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_both_cut_a_text_alike(
    demo_model: _native.Model, library_tokenizer: Tokenizer, text: str
) -> None:
    expected = library_tokenizer.encode(text, add_special_tokens=False).ids
    assert demo_model.tokenize(text, add_special=False) == expected
    assert demo_model.detokenize(expected).decode() == text


def test_digits_stand_alone(demo_model: _native.Model) -> None:
    assert len(demo_model.tokenize("8675309", add_special=False)) == 7


def test_turn_markers_are_single_tokens(demo_model: _native.Model) -> None:
    marks = demo_model.tokenize("<|im_start|><|im_end|>", add_special=False, parse_special=True)
    assert len(marks) == 2
    assert marks[1] in demo_model.end_of_generation_tokens
