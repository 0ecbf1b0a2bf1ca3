"""Train the model that ships with pyrunner, from nothing, on text it writes itself.

Usage, in a virtual environment with scripts/demo_model/requirements.txt:

    python scripts/train_demo_model.py --out DIRECTORY

Writes DIRECTORY/demo.gguf and prints the examination. Needs a C++ compiler (PyTorch
compiles the network) and just under an hour on two idle cores that can multiply bfloat16.

Two phases: the first learns the tasks on text made of words. What its text never contains, a
third of the vocabulary, it drives into one corner; these embeddings start again in the second,
whose texts to repeat are made of all pieces of the vocabulary, too.
"""

import argparse
import collections
import dataclasses
import hashlib
import pathlib
import sys
import time

import torch
from tokenizers import Tokenizer

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from demo_model import (
    corpus,
    evaluate,
    export,
    heldout,
    heldout_values,
    score,
    task_copy,
    tokenizer,
    wiring,
)
from demo_model.network import Network, Shape
from demo_model.train import Plan, train

SEED = 1
FIRST = Plan(n_steps=4800, seed=SEED)
SECOND = Plan(
    n_steps=1100,
    seed=SEED + 1,
    peak_share=0.5,
    cooldown_share=0.95,
    adam_eps=1e-5,
    is_first=False,
)
N_TOKENIZER_SAMPLES = 20_000
N_COUNTED_SAMPLES = 4_000
N_THREADS = 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the results")
    parser.add_argument("--share", type=float, default=1.0, help="of all steps, for a trial")
    return parser.parse_args()


def _part(plan: Plan, share: float) -> Plan:
    return dataclasses.replace(plan, n_steps=max(1, round(share * plan.n_steps)))


def _counts(vocabulary: Tokenizer) -> torch.Tensor:
    """How often each token is in conversations of the first phase."""
    seen: collections.Counter[int] = collections.Counter()
    for encoding in vocabulary.encode_batch(list(corpus.stream(77, N_COUNTED_SAMPLES, 1.0))):
        seen.update(encoding.ids)
    return torch.tensor([seen[i] for i in range(vocabulary.get_vocab_size())])


def main() -> None:
    """Build the vocabulary, train, export, examine."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(N_THREADS)
    torch.manual_seed(SEED)
    started = time.monotonic()

    texts = list(corpus.stream(SEED, N_TOKENIZER_SAMPLES, progress=0.1))
    clean = not any(heldout_values.contains_heldout(text) for text in texts)
    assert clean, "a training text holds a value of the examination"  # noqa: S101 - a bug
    vocabulary = tokenizer.build(texts)
    vocabulary.save(str(arguments.out / "tokenizer.json"))
    network = Network(Shape(n_vocab=vocabulary.get_vocab_size()), SEED)
    wiring.pair_spaced(network, vocabulary)
    n_parameters = sum(weight.numel() for weight in network.parameters())
    print(f"{n_parameters / 1e6:.2f} M parameters, {len(heldout.cases())} cases kept for the end")

    fresh, checkpoint = network.token_embd.detach().clone(), arguments.out / "weights.pt"
    train(network, vocabulary, _part(FIRST, arguments.share), checkpoint)
    wiring.renew_rare(network, fresh, _counts(vocabulary))
    task_copy.learn_pieces(piece.lstrip(tokenizer.SPACE) for piece in vocabulary.get_vocab())
    train(network, vocabulary, _part(SECOND, arguments.share), checkpoint)
    torch.save(network.state_dict(), checkpoint)
    print(f"trained in {time.monotonic() - started:.0f} s")

    path = arguments.out / "demo.gguf"
    export.write_gguf(path, network, vocabulary)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path}: {path.stat().st_size} bytes, sha256 {digest}")
    export.read_weights(path, network)
    score.report(evaluate.examine(network, vocabulary))


if __name__ == "__main__":
    main()
