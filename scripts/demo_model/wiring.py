"""Where the network begins: two blocks that can already look for earlier text.

Copying needs an "induction head": find the place where the last tokens occurred before, and
say what came next there. Gradient descent finds this circuit by itself, but only after far
more text than an hour of two cores can read. So the first two blocks start close to it, the
rest starts random, and training decides what becomes of both.

The circuit. Channel 0 of the embedding is the same for every token, so a rotated constant
gives scores that depend on distance alone: heads of block 0 look one, two and three tokens
back and write what they see into subspaces of their own. Keys of block 1 read those
subspaces; queries are wired to look like the keys of the place that follows an equal pair of
tokens. What they attend to is written back unchanged.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from demo_model.network import Network

_CONSTANT = 0.15  # times the embedding factor, among channels of about 0.8
_N_FAST_PAIRS = 6  # rotated channels that tell neighbours apart
_SHARPNESS = 2.1
_NOISE = 0.3  # of random weights that stay below the wiring
_MATCH = 6.0
_COPY = 1.0


def _orthonormal_rows(n_rows: int, n_columns: int, generator: torch.Generator) -> Tensor:
    random = torch.randn(n_columns, n_rows, generator=generator)
    return torch.linalg.qr(random).Q.T.contiguous()


@torch.no_grad()
def wire(network: "Network", generator: torch.Generator) -> None:
    """Overwrite parts of the first two blocks of a randomly initialised network."""
    network.token_embd[:, 0] = _CONSTANT
    _look_back(network, generator)
    _find_again(network, generator)


def _look_back(network: "Network", generator: torch.Generator) -> None:
    """Wire all heads of block 0 but the last to look a fixed distance back."""
    shape, block = network.shape, network.blocks[0]
    pairs = torch.arange(_N_FAST_PAIRS)
    angle = shape.rope_base ** (-2.0 * pairs / shape.n_head_dim)
    keys = block.attn_k.view(shape.n_head_kv, shape.n_head_dim, shape.n_embd)
    queries = block.attn_q.view(shape.n_head, shape.n_head_dim, shape.n_embd)
    keys.mul_(_NOISE)
    keys[:, 2 * pairs, 0] = _SHARPNESS
    for i in range(shape.n_head - 1):
        queries[i].mul_(_NOISE)
        queries[i][2 * pairs, 0] = _SHARPNESS * torch.cos(angle * (i + 1))
        queries[i][2 * pairs + 1, 0] = -_SHARPNESS * torch.sin(angle * (i + 1))
    values = [
        _orthonormal_rows(shape.n_head_dim, shape.n_embd, generator) for _ in range(shape.n_head_kv)
    ]
    block.attn_v.copy_(torch.cat(values))
    outputs = _orthonormal_rows(shape.n_embd, shape.n_embd, generator)
    block.attn_output.copy_(outputs[:, : block.attn_output.shape[1]])


def _find_again(network: "Network", generator: torch.Generator) -> None:
    """Wire block 1 to attend to what followed the current pair of tokens before."""
    shape, before, block = network.shape, network.blocks[0], network.blocks[1]
    n_dim, group = shape.n_head_dim, shape.n_head // shape.n_head_kv
    first, second = before.attn_output[:, :n_dim], before.attn_output[:, n_dim : 2 * n_dim]
    one_back = first @ before.attn_v[:n_dim]
    wanted = one_back + second @ first.T
    slow = torch.zeros(n_dim, 1)
    slow[n_dim // 2 :] = _MATCH**0.5
    for i in range(shape.n_head_kv):
        seen = torch.cat((first, second), dim=1)
        mixed = torch.randn(n_dim, 2 * n_dim, generator=generator) * (2 * n_dim) ** -0.5
        keys = (mixed @ seen.T) * slow
        block.attn_k[i * n_dim : (i + 1) * n_dim].mul_(_NOISE).add_(keys)
        values = _orthonormal_rows(n_dim, shape.n_embd, generator)
        for k in range(i * group, (i + 1) * group):
            block.attn_q[k * n_dim : (k + 1) * n_dim].mul_(_NOISE).add_(keys @ wanted)
            block.attn_output[:, k * n_dim : (k + 1) * n_dim] = _COPY * values.T
        block.attn_v[i * n_dim : (i + 1) * n_dim] = values
