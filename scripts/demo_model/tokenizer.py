"""The vocabulary: byte-level BPE that cuts a word the same way wherever it stands.

llama.cpp's `qwen2` rule keeps the space in front of a word inside the word. With usual BPE
training " harbour" and "harbour" are then cut into unrelated pieces, which makes copying
hard for a small model. Here merges come in three groups, in this order: pairs of letters,
a few pairs of marks that JSON is full of, and last a space with the first piece of a word.
The space is therefore joined only after the word has been cut.
"""

import collections
import re
from collections.abc import Iterable

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers

from demo_model.chat_format import SPECIAL_TOKENS

# The rule named `qwen2` in llama.cpp; digits stand alone.
QWEN2_RULE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPACE, NEWLINE = "\u0120", "\u010a"  # how byte-level BPE writes a space and a line feed
MARK_MERGES = (
    (SPACE, '"'), ('"', ":"), ("{", '"'), ('"', ","), ('"', "}"), ('"}', "}"), ('"}', "},"),
    ("}", "}"), ("}", ","), (SPACE, "{"), (SPACE + "{", '"'), (NEWLINE, NEWLINE), ("<", "/"),
    (">", NEWLINE), (SPACE, "*"), (SPACE, "+"), (SPACE, "-"), (SPACE, "/"), (SPACE, "("),
    ("<", "|"), ("|", ">"),
)  # fmt: skip

N_VOCAB = 2048
N_SPACE_MERGES = 560


def _letter_tokenizer(texts: Iterable[str], n_vocab: int) -> Tokenizer:
    """Learn merges inside words only."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[],
        min_frequency=1,
    )
    words = (word for text in texts for word in re.findall(r"[^\W\d_]+", text))
    learner.train_from_iterator(words, trainer)
    return learner


def _assemble(vocabulary: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    token_ids = {token: i for i, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.BPE(vocab=token_ids, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_RULE), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer


def learned_merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """Return the merges of a tokenizer, most urgent first."""
    import json  # noqa: PLC0415 - the library hands its state out only as JSON

    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in merges]


def build(texts: list[str]) -> Tokenizer:
    """Learn the vocabulary.

    Args:
        texts: Rendered conversations.

    Returns:
        A tokenizer of `N_VOCAB` tokens; the special tokens have the highest ids.
    """
    n_words = N_VOCAB - len(SPECIAL_TOKENS) - len(MARK_MERGES) - N_SPACE_MERGES
    learner = _letter_tokenizer(texts, n_words)
    merges = learned_merges(learner)
    by_id = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    vocabulary = [token for token, _ in by_id]
    for left, right in MARK_MERGES:
        merges.append((left, right))
        vocabulary.append(left + right)
    first_pieces = _first_pieces(_assemble(vocabulary, merges), texts)
    for piece in first_pieces[:N_SPACE_MERGES]:
        merges.append((SPACE, piece))
        vocabulary.append(SPACE + piece)
    tokenizer = _assemble(vocabulary, merges)
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in SPECIAL_TOKENS])
    if tokenizer.get_vocab_size() != N_VOCAB:
        message = f"vocabulary has {tokenizer.get_vocab_size()} tokens, expected {N_VOCAB}"
        raise ValueError(message)
    return tokenizer


def _first_pieces(tokenizer: Tokenizer, texts: list[str]) -> list[str]:
    """Return the pieces that words after a space begin with, most frequent first."""
    word_counts = collections.Counter(
        word for text in texts for word in re.findall(r"(?<= )[^\W\d_]+", text)
    )
    counts: collections.Counter[str] = collections.Counter()
    for word, count in word_counts.items():
        counts[tokenizer.encode(word).tokens[0]] += count
    return [piece for piece, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
