"""Where the network begins: two blocks that can already repeat an earlier text.

Copying needs an "induction head": find the place where the last tokens occurred before, and
say what came next there. Gradient descent finds this circuit by itself, but only after far
more text than an hour of two cores can read. So the first two blocks start as this circuit
(untrained, it names nine of ten tokens of an 85-word text to repeat), the rest starts small
and random, and training decides what becomes of all of it.

The circuit. The residual stream is divided into channel 0, a space for the tokens themselves
and one small space for each of the three tokens before. Channel 0 of the embedding is the
same for every token, so a rotated constant gives scores that depend on distance alone: heads
of block 0 look one, two and three tokens back and write a sketch of what they see into the
small spaces. In block 1, a key sketches the three tokens before it and a query sketches the
current token and the two before it, in channels that rotate too slowly to notice a distance;
so a query fits the place that follows an equal triple best, an equal pair next. What it
attends to is added to the stream, louder than the current token: the candidate for the next
one. Half of block 2 then looks where else the candidate stands, and reads what stands before
it there, as replacing a word needs.

A word piece and the same piece after a space are two tokens; they start alike, so that
`"apple"` is found again as ` apple`.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from demo_model.tokenizer import SPACE

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from demo_model.network import Block, Network

N_WIRED_BLOCKS = 3
_N_BACK = 3
_N_SKETCH = 40  # channels that describe one token; the slow ones of a head
_CONSTANT = 0.15  # times the embedding factor, among channels of about 0.8
_OUTSIDE = 0.3  # of an embedding that lies outside the space of tokens
_N_FAST_PAIRS = 6  # rotated channels that tell neighbours apart
_SHARPNESS = 2.1
_NOISE = 0.1  # of random weights that stay below the wiring
_MATCH = 2.5  # gain of an equal token
_WEIGHTS = (1.0, 0.8, 0.6)  # of the current token and of the ones before it
_COPY = 2.0
_ELSEWHERE = 2.0  # gain of the candidate in block 2
_ALIKE = 0.8  # cosine of a piece with and without its space
_RARE = 15
_QUIET = 0.5  # of the random blocks' outputs, so that they do not drown the copy


def _orthonormal(n_rows: int, n_columns: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(n_rows, n_columns, generator=generator)).Q


@torch.no_grad()
def wire(network: "Network", generator: torch.Generator) -> None:
    """Overwrite parts of a randomly initialised network."""
    n_embd = network.shape.n_embd
    axes = torch.zeros(n_embd, n_embd - 1)
    axes[1:] = _orthonormal(n_embd - 1, n_embd - 1, generator)
    n_tokens = n_embd - 1 - _N_BACK * _N_SKETCH
    tokens, *before = axes.split((n_tokens, *(_N_SKETCH,) * _N_BACK), dim=1)
    sketch = _orthonormal(n_tokens, _N_SKETCH, generator).T @ tokens.T

    _confine(network.token_embd, tokens)
    _look_back(network, sketch, before)
    _find_again(network.blocks[1], tokens, sketch, before, generator)
    _look_elsewhere(network.blocks[2], tokens, before, generator)
    for block in network.blocks:
        block.ffn_down.mul_(_QUIET)
    for block in network.blocks[2:]:
        block.attn_output.mul_(_QUIET)


def _confine(embeddings: Tensor, tokens: Tensor) -> None:
    """Move embeddings into the space of tokens, all but a part, without changing their length."""
    n_embd, n_tokens = tokens.shape
    inside = embeddings @ tokens @ tokens.T
    louder = ((1 - _OUTSIDE**2) * n_embd / n_tokens) ** 0.5
    embeddings.copy_(louder * inside + _OUTSIDE * (embeddings - inside))
    embeddings[:, 0] = _CONSTANT


def _look_back(network: "Network", sketch: Tensor, before: list[Tensor]) -> None:
    """Wire heads of block 0 to sketch the token at a fixed distance."""
    shape, block = network.shape, network.blocks[0]
    keys, queries, values = _heads(block)
    pairs = torch.arange(_N_FAST_PAIRS)
    angle = shape.rope_base ** (-2.0 * pairs / shape.n_head_dim)
    keys.mul_(_NOISE)
    keys[:, 2 * pairs, 0] = _SHARPNESS
    values[:, :_N_SKETCH] = sketch
    for i, space in enumerate(before):
        queries[i].mul_(_NOISE)
        queries[i][2 * pairs, 0] = _SHARPNESS * torch.cos(angle * (i + 1))
        queries[i][2 * pairs + 1, 0] = -_SHARPNESS * torch.sin(angle * (i + 1))
        output = _output_of(block, i)
        output.mul_(_NOISE)
        output[:, :_N_SKETCH] = space


def _find_again(
    block: "Block",
    tokens: Tensor,
    sketch: Tensor,
    before: list[Tensor],
    generator: torch.Generator,
) -> None:
    """Wire block 1 to attend to what followed the current tokens before, and to say it."""
    keys, queries, values = _heads(block)
    current = [sketch, *(space.T for space in before[:-1])]
    group = len(queries) // len(keys)
    for i_kv in range(len(keys)):
        codes = [
            weight * _MATCH**0.5 * _orthonormal(_N_SKETCH, _N_SKETCH, generator)
            for weight in _WEIGHTS
        ]
        keys[i_kv].mul_(_NOISE)
        keys[i_kv, -_N_SKETCH:] += sum(c @ s.T for c, s in zip(codes, before, strict=True))
        part = tokens[:, i_kv * values.shape[1] : (i_kv + 1) * values.shape[1]]
        values[i_kv] = part.T
        for i in range(i_kv * group, (i_kv + 1) * group):
            queries[i].mul_(_NOISE)
            queries[i, -_N_SKETCH:] += sum(c @ s for c, s in zip(codes, current, strict=True))
            _output_of(block, i).copy_(_COPY * part)


def _look_elsewhere(
    block: "Block", tokens: Tensor, before: list[Tensor], generator: torch.Generator
) -> None:
    """Wire the first key head of block 2 to attend to the candidate and read what is before it."""
    keys, queries, values = _heads(block)
    sketch = _orthonormal(tokens.shape[1], _N_SKETCH, generator).T @ tokens.T
    surroundings = torch.cat(before, dim=1)
    mixed = _orthonormal(surroundings.shape[1], values.shape[1], generator)
    values[0] = (surroundings @ mixed).T
    for head in (keys[0], *queries[: len(queries) // len(keys)]):
        head.mul_(_NOISE)
        head[-_N_SKETCH:] += _ELSEWHERE**0.5 * sketch


@torch.no_grad()
def pair_spaced(network: "Network", tokenizer: "Tokenizer") -> None:
    """Give every piece that has a twin after a space an embedding close to the twin's."""
    ids = tokenizer.get_vocab()
    alone = network.token_embd.clone()
    for piece, i_spaced in ids.items():
        i_alone = ids.get(piece[1:])
        if piece.startswith(SPACE) and i_alone is not None:
            apart = (1 - _ALIKE**2) ** 0.5
            network.token_embd[i_spaced] = _ALIKE * alone[i_alone] + apart * alone[i_spaced]
    network.token_embd[:, 0] = _CONSTANT


@torch.no_grad()
def renew_rare(network: "Network", fresh: Tensor, counts: Tensor) -> None:
    """Give tokens that training hardly saw the embedding they began with, as loud as the others.

    Args:
        network: Trained.
        fresh: The embeddings it began with, of the same shape.
        counts: How often each token was seen in some thousand conversations.
    """
    embeddings = network.token_embd
    louder = (embeddings.norm(dim=1) / fresh.norm(dim=1)).median()
    is_rare = counts < _RARE
    constant = embeddings[is_rare, 0].clone()
    embeddings[is_rare] = louder * fresh[is_rare]
    embeddings[is_rare, 0] = constant


def _heads(block: "Block") -> tuple[Tensor, Tensor, Tensor]:
    """Return keys, queries and values as views of shape (heads, head_dim, n_embd)."""
    weights = (block.attn_k, block.attn_q, block.attn_v)
    keys, queries, values = (w.view(-1, block.shape.n_head_dim, w.shape[1]) for w in weights)
    return keys, queries, values


def _output_of(block: "Block", i_head: int) -> Tensor:
    """Return the columns of the output matrix that belong to a head, as a view."""
    n_dim = block.shape.n_head_dim
    return block.attn_output[:, i_head * n_dim : (i_head + 1) * n_dim]
