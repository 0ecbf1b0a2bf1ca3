"""The training loop: fixed number of steps, fixed seeds, one line of progress per 50 steps."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812 - the name PyTorch users expect
from tokenizers import Tokenizer

from demo_model.batches import Batch, make_pool
from demo_model.network import Network
from demo_model.optimizer import make_optimizers, set_rate


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long and how to train.

    Attributes:
        n_steps: Optimizer steps.
        n_batch_tokens: Tokens per batch, padding included.
        n_batches_per_step: Batches, mostly of different lengths, whose gradients are added.
        n_pool_samples: Conversations generated at a time.
        n_warmup_steps: Steps over which the learning rate grows.
        cooldown_share: Last part of the run, over which the rate falls to zero.
        seed: Start of all randomness.
    """

    n_steps: int
    n_batch_tokens: int = 4096
    n_batches_per_step: int = 2
    n_pool_samples: int = 4000
    n_warmup_steps: int = 50
    cooldown_share: float = 0.5
    seed: int = 1


def rate_share(plan: Plan, i_step: int) -> float:
    """Return the learning rate as a share of its peak: rise, hold, fall linearly."""
    rise = min(1.0, (i_step + 1) / plan.n_warmup_steps)
    fall = (plan.n_steps - i_step) / (plan.n_steps * plan.cooldown_share)
    return min(rise, fall, 1.0)


def _batches(plan: Plan, tokenizer: Tokenizer, progress: Callable[[], float]) -> Iterator[Batch]:
    i_pool = 0
    while True:
        seed = 1000 * plan.seed + i_pool
        yield from make_pool(tokenizer, seed, plan.n_pool_samples, progress(), plan.n_batch_tokens)
        i_pool += 1


def train(network: Network, tokenizer: Tokenizer, plan: Plan, checkpoint: pathlib.Path) -> None:
    """Train `network` in place.

    Args:
        network: Weights to change.
        tokenizer: Vocabulary of the corpus.
        plan: Length and rates.
        checkpoint: File that receives the weights every 250 steps.
    """
    optimizers = make_optimizers(network)
    hidden_of = torch.compile(network, dynamic=False)
    state = {"i_step": 0}
    source = _batches(plan, tokenizer, lambda: state["i_step"] / plan.n_steps)
    started = time.monotonic()
    shown_loss, shown_tokens, n_seen = 0.0, 0, 0
    for i_step in range(plan.n_steps):
        state["i_step"] = i_step
        set_rate(optimizers, rate_share(plan, i_step))
        batches = [next(source) for _ in range(plan.n_batches_per_step)]
        n_targets = sum(len(batch.targets) for batch in batches)
        for batch in batches:
            hidden = hidden_of(batch.ids, torch.bfloat16).flatten(0, 1)[batch.i_answer]
            scores = network.logits(hidden).float()
            loss = F.cross_entropy(scores, batch.targets, reduction="sum")
            (loss / n_targets).backward()
            shown_loss += loss.item()
            n_seen += batch.ids.numel()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        shown_tokens += n_targets
        if (i_step + 1) % 50 == 0:
            passed_s = time.monotonic() - started
            print(
                f"step {i_step + 1}/{plan.n_steps}  loss {shown_loss / shown_tokens:.4f}  "
                f"{n_seen / 1e6:.1f} M tokens  {n_seen / passed_s:.0f} tokens/s  {passed_s:.0f} s",
                flush=True,
            )
            shown_loss, shown_tokens = 0.0, 0
        if (i_step + 1) % 250 == 0:
            torch.save(network.state_dict(), checkpoint)
