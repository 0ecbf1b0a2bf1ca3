"""A model whose vocabulary is filled up, so that it means what it says among 152k tokens.

What a grammar, a sampler or a list of likeliest tokens costs depends on the number of tokens, and
on whether the model would have chosen one of those that are allowed. Random weights hardly ever do.
"""

from pathlib import Path

import gguf
import numpy as np

_TOKENS = gguf.Keys.Tokenizer.LIST
_KINDS = gguf.Keys.Tokenizer.TOKEN_TYPE
_PER_TOKEN = ("token_embd.weight", "output.weight")
_NO_KEYS = "GGUF."
"""What the reader calls parts of the file that are not keys."""
_WRITERS_OWN = (gguf.Keys.General.ARCHITECTURE, "llama.vocab_size")


def write_wider(path: Path, *, model: Path, vocab: Path) -> None:
    """Write a model with the tokens of another vocabulary after its own.

    No text is made of the new tokens, because the merges stay as they are; their rows are zeros, so
    that the model gives each of them a logit of 0, far below those of the tokens it means.

    Args:
        path: The file to write.
        model: A GGUF of architecture llama, with an output matrix of its own.
        vocab: A GGUF whose number of tokens the new one has.
    """
    reader = gguf.GGUFReader(model)
    tokens = reader.fields[_TOKENS].contents()
    others = gguf.GGUFReader(vocab).fields[_TOKENS].contents()
    known = set(tokens)
    fresh = [each for each in others if each not in known][: len(others) - len(tokens)]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(len(tokens) + len(fresh))
    for name, field in reader.fields.items():
        if name.startswith(_NO_KEYS) or name in _WRITERS_OWN:
            continue
        value = field.contents()
        if name == _TOKENS:
            value = [*value, *fresh]
        if name == _KINDS:
            value = [*value, *[int(gguf.TokenType.NORMAL)] * len(fresh)]
        kind = field.types[0]
        sub_kind = field.types[-1] if kind is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, kind, sub_kind)
    for tensor in reader.tensors:
        rows = tensor.data
        if tensor.name in _PER_TOKEN:
            rows = np.concatenate([rows, np.zeros((len(fresh), rows.shape[1]), rows.dtype)])
        writer.add_tensor(tensor.name, rows, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
