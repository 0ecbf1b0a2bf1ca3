"""Texts of a chosen number of tokens: whole words that the vocabulary has as one token each."""

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

import gguf

_WORD = re.compile("\u0120([a-z]{2,9})")
"""Byte-level BPE writes a space as this letter."""

_MAX_WORDS = 4000
_N_BIASED = 64
_BIAS = 100.0


@dataclass(frozen=True, slots=True)
class Words:
    """Token ids of words that follow a space."""

    ids: dict[str, int]

    def text(self, n_tokens: int, *seed: object) -> str:
        """So many words; equal seeds give equal texts."""
        drawn = random.Random(repr(seed)).choices(list(self.ids), k=n_tokens)
        return "".join(f" {word}" for word in drawn)

    @property
    def bias(self) -> dict[str, float]:
        """Makes a model say nothing but some of the words.

        What a model with random weights says otherwise is no UTF-8, and not the same tokens when
        it is sent back as a text.
        """
        return {str(number): _BIAS for number in list(self.ids.values())[:_N_BIASED]}


def words_of(model: Path, cache: Path) -> Words:
    """The words of a model's vocabulary.

    Args:
        model: A GGUF file.
        cache: A file that keeps them, because reading the vocabulary takes seconds.
    """
    if not cache.exists():
        tokens = gguf.GGUFReader(model).fields["tokenizer.ggml.tokens"].contents()
        found = {
            match[1]: number
            for number, token in enumerate(tokens)
            if (match := _WORD.fullmatch(token)) is not None
        }
        cache.write_text(json.dumps(dict(list(found.items())[:_MAX_WORDS])))
    return Words(json.loads(cache.read_text()))
