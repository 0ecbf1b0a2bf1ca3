"""Greedy answers of the network itself; `examine.py` asks the exported file instead."""

import torch
from tokenizers import Tokenizer
from torch import Tensor

from demo_model import examinations
from demo_model.chat_format import END_OF_TEXT, TURN_END, render
from demo_model.heldout_case import Case
from demo_model.network import Network
from demo_model.score import MAX_ANSWER_TOKENS, Outcome


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


def examine(network: Network, tokenizer: Tokenizer) -> dict[str, list[Outcome]]:
    """Ask every question of the examinations."""
    return {
        name: [_ask(network, tokenizer, case) for case in cases]
        for name, cases in examinations.EXAMINATIONS.items()
    }


def _ask(network: Network, tokenizer: Tokenizer, case: Case) -> Outcome:
    prompt = render(case.sample, add_generation_prompt=True)
    return Outcome(case, *generate(network, tokenizer, prompt))
