"""The examination: greedy answers of the network, compared character by character."""

from __future__ import annotations

import collections
import dataclasses

import torch
from tokenizers import Tokenizer
from torch import Tensor

from demo_model import heldout
from demo_model.chat_format import END_OF_TEXT, TURN_END, render
from demo_model.network import Network

MAX_ANSWER_TOKENS = 400
PASS_SHARE = 0.9


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the model said in one case.

    Attributes:
        case: The question.
        answer: The answer without the end of the turn.
        has_ended: Whether the model ended its turn by itself.
    """

    case: heldout.Case
    answer: str
    has_ended: bool

    @property
    def is_right(self) -> bool:
        """Whether the answer is one of the accepted ones, and the turn was ended."""
        return self.has_ended and self.answer in self.case.answers


@torch.inference_mode()
def generate(network: Network, tokenizer: Tokenizer, prompt: str) -> tuple[str, bool]:
    """Continue a prompt greedily.

    Returns:
        The new text, and whether the model ended it itself.
    """
    stops = {tokenizer.token_to_id(TURN_END), tokenizer.token_to_id(END_OF_TEXT)}
    past: list[list[Tensor]] = [[] for _ in network.blocks]
    ids = torch.tensor([tokenizer.encode(prompt).ids])
    written: list[int] = []
    while len(written) < MAX_ANSWER_TOKENS:
        hidden = network(ids, past=past)
        best = int(network.logits(hidden[0, -1]).argmax())
        if best in stops:
            return tokenizer.decode(written), True
        written.append(best)
        ids = torch.tensor([[best]])
    return tokenizer.decode(written), False


def examine(network: Network, tokenizer: Tokenizer) -> list[Outcome]:
    """Ask every question of the examination."""
    outcomes = []
    for case in heldout.cases():
        prompt = render(case.sample, add_generation_prompt=True)
        outcomes.append(Outcome(case, *generate(network, tokenizer, prompt)))
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """Return the result by category as a Markdown table."""
    n_all: collections.Counter[str] = collections.Counter()
    n_right: collections.Counter[str] = collections.Counter()
    for outcome in outcomes:
        for row in (outcome.case.category, "**all**"):
            n_all[row] += 1
            n_right[row] += outcome.is_right
    rows = sorted(n_all, key=lambda row: (row == "**all**", row))
    lines = ["| Category | Cases | Right | Share |", "|---|---:|---:|---:|"]
    lines += [
        f"| {row} | {n_all[row]} | {n_right[row]} | {n_right[row] / n_all[row]:.1%} |"
        for row in rows
    ]
    return "\n".join(lines)


def report(outcomes: list[Outcome]) -> bool:
    """Print every wrong answer and the table.

    Returns:
        Whether the share of right answers reaches `PASS_SHARE`.
    """
    for outcome in outcomes:
        if outcome.is_right:
            continue
        question = outcome.case.sample.messages[-1]["content"]
        print(f"[{outcome.case.category}] {question!r}")
        print(f"    wanted {outcome.case.answers[0]!r}")
        print(f"    got    {outcome.answer!r}{'' if outcome.has_ended else ' (never ended)'}")
    print(table(outcomes))
    share = sum(outcome.is_right for outcome in outcomes) / len(outcomes)
    print(f"exact match {share:.1%}, needed {PASS_SHARE:.0%}")
    return share >= PASS_SHARE
