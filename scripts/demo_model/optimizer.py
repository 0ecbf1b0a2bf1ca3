"""Muon for matrices, AdamW for the embedding and the norms."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from demo_model.network import Network
from demo_model.wiring import N_COPYING_BLOCKS

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)

# Gradients far below it do not move an embedding. With the usual 1e-8 a piece that is hardly ever
# seen moves as far as any other, and all of them the same way.
_ADAM_EPS = 1e-5


def orthogonalise(update: Tensor, n_steps: int = 5) -> Tensor:
    """Push all singular values of a matrix towards one by a Newton-Schulz iteration."""
    a, b, c = _NEWTON_SCHULZ
    is_tall = update.shape[0] > update.shape[1]
    x = (update.T if is_tall else update).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(n_steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if is_tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix update is made orthogonal before it is applied.

    See https://kellerjordan.github.io/posts/muon/ for the method.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], momentum: float, weight_decay: float
    ) -> None:
        """Take groups that each bring their own `lr`."""
        super().__init__(groups, {"momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure here
        """Apply one update."""
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if "velocity" not in state:
                    state["velocity"] = torch.zeros_like(weight)
                velocity = state["velocity"].lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonalise(weight.grad.lerp(velocity, group["momentum"]))
                scale = math.sqrt(max(1.0, weight.shape[0] / weight.shape[1]))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * scale)


def make_optimizers(network: Network) -> list[torch.optim.Optimizer]:
    """Return the optimizers; every group carries its peak rate as `peak_lr`.

    The blocks that can already copy learn slower, so that training refines the circuit instead of
    drowning it.
    """
    wired, other = (
        [w for block in blocks for w in block.parameters() if w.dim() > 1]
        for blocks in (network.blocks[:N_COPYING_BLOCKS], network.blocks[N_COPYING_BLOCKS:])
    )
    norms = [w for w in network.parameters() if w.dim() == 1]
    muon = Muon(
        [{"params": wired, "lr": 0.005}, {"params": other, "lr": 0.02}],
        momentum=0.95,
        weight_decay=0.02,
    )
    adam = torch.optim.AdamW(
        [{"params": [network.token_embd], "lr": 1e-3}, {"params": norms, "lr": 2e-3}],
        betas=(0.9, 0.95),
        eps=_ADAM_EPS,
        weight_decay=0.0,
        fused=True,
    )
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return [muon, adam]


def set_rate(optimizers: list[torch.optim.Optimizer], share: float) -> None:
    """Set every learning rate to a share of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * share
