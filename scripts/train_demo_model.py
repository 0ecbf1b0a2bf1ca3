"""Train the model that ships with pyrunner, from nothing, on text it writes itself.

Usage, in a virtual environment with scripts/demo_model/requirements.txt:

    python scripts/train_demo_model.py --out DIRECTORY

Writes DIRECTORY/demo.gguf and prints the examinations. Needs a C++ compiler (PyTorch
compiles the network) and just under an hour on two idle cores that can multiply bfloat16.
"""

import argparse
import dataclasses
import hashlib
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from demo_model import (
    corpus,
    evaluate,
    examinations,
    export,
    score,
    task_copy,
    tokenizer,
    wiring,
)
from demo_model.network import Network, Shape
from demo_model.train import Plan, train

SEED = 1
PLAN = Plan(n_steps=4800, seed=SEED)
N_TOKENIZER_SAMPLES = 20_000
N_THREADS = 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the results")
    parser.add_argument("--share", type=float, default=1.0, help="of all steps, for a trial")
    return parser.parse_args()


def main() -> None:
    """Build the vocabulary, train, export, examine."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(N_THREADS)
    torch.manual_seed(SEED)
    started = time.monotonic()

    texts = list(corpus.stream(SEED, N_TOKENIZER_SAMPLES, progress=0.1))
    if any(map(examinations.contains_heldout, texts)):
        raise AssertionError("a training text holds a value of an examination")
    vocabulary = tokenizer.build(texts)
    vocabulary.save(str(arguments.out / "tokenizer.json"))
    task_copy.learn_pieces(piece.lstrip(tokenizer.SPACE) for piece in vocabulary.get_vocab())
    network = Network(Shape(n_vocab=vocabulary.get_vocab_size()), SEED)
    wiring.pair_spaced(network, vocabulary)
    n_parameters = sum(weight.numel() for weight in network.parameters())
    n_cases = sum(len(cases) for cases in examinations.EXAMINATIONS.values())
    print(f"{n_parameters / 1e6:.2f} M parameters, {n_cases} cases kept for the end")

    plan = dataclasses.replace(PLAN, n_steps=max(1, round(arguments.share * PLAN.n_steps)))
    checkpoint = arguments.out / "weights.pt"
    train(network, vocabulary, plan, checkpoint)
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
