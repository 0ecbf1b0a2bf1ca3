"""Where the network begins: three blocks that can already repeat an earlier text.

Copying needs an "induction head": find the place where the last tokens occurred before, and
say what came next there. Gradient descent finds this circuit by itself, but only after far
more text than an hour of two cores can read. So the first three blocks start as this circuit,
the rest starts small and random, and training decides what becomes of all of it.

The circuit. The residual stream is divided into channel 0, a space for the tokens themselves
and three small spaces for what came before. Channel 0 of the embedding is the same for every
token, so a rotated constant gives scores that depend on distance alone.

* Block 0 looks one to four tokens back and adds a sketch of each into the first small space,
  turned once per step back, so that four sketches share it. The same turn applied to the
  current token and that space is what the space of the *next* position holds.
* Block 1 copies that space from three and from four tokens back: the tokens five to eight
  before the next position and before this one.
* Block 2 matches the last four tokens, in channels that rotate too slowly to notice a distance,
  and adds the token that followed: the candidate. Two other heads do the same with the four
  tokens before those. Where the last four occur twice, both places get half a vote of the first
  two heads, and the others decide.
* Block 3 looks where else the candidate stands, and reads what stands before it there, as
  replacing a word needs.
* Block 4 finds the place to continue from again, so that what the blocks between have written
  about its token can be used.

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

N_COPYING_BLOCKS = 3
_N_SKETCH = 44  # channels of a sketch; the slow ones of a head
_CONSTANT = 0.15  # times the embedding factor, among channels of about 0.8
_OUTSIDE = 0.3  # of an embedding that lies outside the space of tokens
_DISTANCE_GAINS = (4.0, 2.8, 2.8, 2.8, 2.8, 2.8)  # of rotated channels, fastest first
_NOISE = 0.1  # of random weights that stay below the wiring
_SKETCH_GAINS = (0.7, 0.58, 0.43, 0.3)  # of a token in the first small space, nearest first
_FAR_GAIN = 0.9  # of the other two
_MATCH_NEAR = 2.6  # gain of query and of key
_MATCH_FAR = 1.8
_MATCH_LATE = 2.6
_COPY_NEAR = 2.4  # of a candidate: louder than the current token
_COPY_FAR = 1.0  # enough to decide between two equal ones
_ELSEWHERE = 2.0  # gain of the candidate in block 3
_ALIKE = 0.8  # cosine of a piece with and without its space
_QUIET = 0.5  # of the random blocks' outputs, so that they do not drown the copy


def _orthonormal(n_rows: int, n_columns: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(n_rows, n_columns, generator=generator)).Q


class _Spaces:
    """How the residual stream is divided; columns are orthonormal axes in it."""

    def __init__(self, n_embd: int, generator: torch.Generator) -> None:
        axes = torch.zeros(n_embd, n_embd - 1)
        axes[1:] = _orthonormal(n_embd - 1, n_embd - 1, generator)
        n_tokens = n_embd - 1 - 3 * _N_SKETCH
        sizes = (n_tokens, _N_SKETCH, _N_SKETCH, _N_SKETCH)
        self.tokens, self.near, self.far_key, self.far_query = axes.split(sizes, dim=1)
        self.sketch = _orthonormal(n_tokens, _N_SKETCH, generator).T @ self.tokens.T
        self.turn = _orthonormal(_N_SKETCH, _N_SKETCH, generator)


@torch.no_grad()
def wire(network: "Network", generator: torch.Generator) -> None:
    """Overwrite parts of a randomly initialised network."""
    spaces = _Spaces(network.shape.n_embd, generator)
    here = network.blocks
    _confine(network.token_embd, spaces.tokens)
    for i, gain in enumerate(_SKETCH_GAINS):
        turned = torch.linalg.matrix_power(spaces.turn, i + 1)
        _look_back(network, 0, i, i + 1)
        _carry(here[0], i, spaces.sketch, spaces.near @ turned, gain)
    for i, (distance, space) in enumerate(((4, spaces.far_key), (3, spaces.far_query))):
        _look_back(network, 1, i, distance)
        _carry(here[1], i, spaces.near.T, space, _FAR_GAIN)
    near = (spaces.near.T, spaces.turn @ (_SKETCH_GAINS[0] * spaces.sketch + spaces.near.T))
    far = (spaces.far_key.T, spaces.far_query.T)
    first, second = spaces.tokens.split((spaces.tokens.shape[1] + 1) // 2, dim=1)
    for i, part in enumerate((first, second)):
        _match(here[2], i, near, _MATCH_NEAR)
        _carry(here[2], i, part.T, part, _COPY_NEAR)
        _match(here[2], i + 2, far, _MATCH_FAR)
        _carry(here[2], i + 2, part.T, part, _COPY_FAR)
    _look_elsewhere(here[3], 0, spaces, generator)
    for block in here:
        block.ffn_down.mul_(_QUIET)
    for block in here[3:]:
        block.attn_output.mul_(_QUIET)
    _match(here[4], 0, near, _MATCH_LATE)
    _match(here[4], 1, far, _MATCH_LATE)


def _confine(embeddings: Tensor, tokens: Tensor) -> None:
    """Move embeddings into the space of tokens, all but a part, without changing their length."""
    n_embd, n_tokens = tokens.shape
    inside = embeddings @ tokens @ tokens.T
    louder = ((1 - _OUTSIDE**2) * n_embd / n_tokens) ** 0.5
    embeddings.copy_(louder * inside + _OUTSIDE * (embeddings - inside))
    embeddings[:, 0] = _CONSTANT


def _look_back(network: "Network", i_block: int, i_head: int, distance: int) -> None:
    """Wire a head to attend to the token at a fixed distance."""
    shape = network.shape
    key, query, _ = _head(network.blocks[i_block], i_head)
    key.mul_(_NOISE)
    query.mul_(_NOISE)
    for i, gain in enumerate(_DISTANCE_GAINS):
        angle = torch.tensor(distance * shape.rope_base ** (-2.0 * i / shape.n_head_dim))
        key[2 * i, 0] = gain
        query[2 * i, 0] = gain * torch.cos(angle)
        query[2 * i + 1, 0] = -gain * torch.sin(angle)


def _match(block: "Block", i_head: int, code: tuple[Tensor, Tensor], gain: float) -> None:
    """Wire a head to attend where the first code equals the second one here."""
    key, query, _ = _head(block, i_head)
    for weights, projection in zip((key, query), code, strict=True):
        weights.mul_(_NOISE)
        weights[-_N_SKETCH:] += gain * projection


def _carry(block: "Block", i_head: int, source: Tensor, target: Tensor, gain: float) -> None:
    """Wire a head to add what it reads in `source` to the stream as `target`."""
    _, _, value = _head(block, i_head)
    output = _output_of(block, i_head)
    value[: len(source)] = source
    output.mul_(_NOISE)
    output[:, : len(source)] = gain * target


def _look_elsewhere(
    block: "Block", i_head: int, spaces: _Spaces, generator: torch.Generator
) -> None:
    """Wire a head to attend to the candidate and read what is before it."""
    key, query, value = _head(block, i_head)
    value[:_N_SKETCH] = spaces.near.T
    sketch = _orthonormal(spaces.tokens.shape[1], _N_SKETCH, generator).T @ spaces.tokens.T
    for weights in (key, query):
        weights.mul_(_NOISE)
        weights[-_N_SKETCH:] += _ELSEWHERE**0.5 * sketch


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


def _head(block: "Block", i_head: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return key, query and value weights of a head as views of shape (head_dim, n_embd)."""
    n_dim = block.shape.n_head_dim
    rows = slice(i_head * n_dim, (i_head + 1) * n_dim)
    return block.attn_k[rows], block.attn_q[rows], block.attn_v[rows]


def _output_of(block: "Block", i_head: int) -> Tensor:
    """Return the columns of the output matrix that belong to a head, as a view."""
    n_dim = block.shape.n_head_dim
    return block.attn_output[:, i_head * n_dim : (i_head + 1) * n_dim]
