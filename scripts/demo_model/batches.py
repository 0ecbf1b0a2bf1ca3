"""From conversations to batches of token ids with marked answers.

Conversations of similar length share a batch, so that little is spent on padding, and the
batches of one pool are then shuffled. A batch never mixes two conversations in one row.
"""

import dataclasses
import random
from collections.abc import Iterator

import torch
from tokenizers import Tokenizer
from torch import Tensor

from demo_model import corpus
from demo_model.chat_format import END_OF_TEXT, TURN_END, TURN_START

# Few lengths, because the compiled network is specialised for each.
LENGTHS = (80, 128, 192, 288, 416, 640, 1536)
_IGNORED = -100


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows of equal length.

    Attributes:
        ids: Input tokens, shape (rows, length), int64.
        i_answer: Positions to learn from, as indexes into the flattened rows.
        targets: The token that follows each of those positions.
    """

    ids: Tensor
    i_answer: Tensor
    targets: Tensor


class Marker:
    """Finds the tokens that the model has to produce."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.i_start = tokenizer.token_to_id(TURN_START)
        self.i_end = tokenizer.token_to_id(TURN_END)
        self.i_end_of_text = tokenizer.token_to_id(END_OF_TEXT)
        self.opening = tokenizer.encode(f"{TURN_START}assistant\n").ids

    def targets(self, ids: list[int]) -> list[int]:
        """Return for every position the token to predict, or -100 where nothing is learnt."""
        wanted = [_IGNORED] * len(ids)
        if ids[0] != self.i_start:
            wanted[:-1] = ids[1:]
            return wanted
        n_opening = len(self.opening)
        i = 0
        while i < len(ids):
            if ids[i] != self.i_start or ids[i : i + n_opening] != self.opening:
                i += 1
                continue
            i += n_opening - 1
            while ids[i] != self.i_end:
                wanted[i] = ids[i + 1]
                i += 1
        return wanted


def make_pool(
    tokenizer: Tokenizer, seed: int, n_samples: int, progress: float, n_batch_tokens: int
) -> Iterator[Batch]:
    """Yield all batches of one pool of fresh conversations, in shuffled order.

    Conversations longer than the longest length are left out.
    """
    texts = list(corpus.stream(seed, n_samples, progress))
    marker = Marker(tokenizer)
    rows: dict[int, list[list[int]]] = {length: [] for length in LENGTHS}
    for encoding in tokenizer.encode_batch(texts):
        fitting = next((n for n in LENGTHS if n >= len(encoding.ids)), None)
        if fitting is not None:
            rows[fitting].append(encoding.ids)
    plans = []
    for length, members in rows.items():
        n_rows = n_batch_tokens // length
        plans += [
            (length, members[i : i + n_rows]) for i in range(0, len(members) - n_rows + 1, n_rows)
        ]
    random.Random(seed).shuffle(plans)
    for length, members in plans:
        yield _collate(members, length, marker)


def _collate(members: list[list[int]], length: int, marker: Marker) -> Batch:
    ids = torch.full((len(members), length), marker.i_end_of_text)
    targets = torch.full((len(members), length), _IGNORED)
    for i, member in enumerate(members):
        ids[i, : len(member)] = torch.tensor(member)
        targets[i, : len(member)] = torch.tensor(marker.targets(member))
    flat = targets.flatten()
    i_answer = (flat != _IGNORED).nonzero().squeeze(1)
    return Batch(ids, i_answer, flat[i_answer])
