"""Train the model that ships with pyrunner, from nothing, on text it writes itself.

Usage, in a virtual environment with scripts/demo_model/requirements.txt:

    python scripts/train_demo_model.py --out DIRECTORY

Writes DIRECTORY/demo.gguf and prints the examination. Needs a C++ compiler (PyTorch
compiles the network) and about 45 minutes on two cores that can multiply bfloat16.
"""

import argparse
import hashlib
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from demo_model import corpus, evaluate, export, heldout, heldout_values, score, tokenizer
from demo_model.network import Network, Shape
from demo_model.train import Plan, train

N_STEPS = 1600
N_TOKENIZER_SAMPLES = 20_000
N_THREADS = 2
SEED = 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the results")
    parser.add_argument("--steps", type=int, default=N_STEPS, help="fewer for a trial")
    return parser.parse_args()


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
    n_parameters = sum(weight.numel() for weight in network.parameters())
    print(f"{n_parameters / 1e6:.2f} M parameters, {len(heldout.cases())} cases kept for the end")

    train(network, vocabulary, Plan(arguments.steps, seed=SEED), arguments.out / "weights.pt")
    torch.save(network.state_dict(), arguments.out / "weights.pt")
    print(f"trained in {time.monotonic() - started:.0f} s")

    path = arguments.out / "demo.gguf"
    export.write_gguf(path, network, vocabulary)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path}: {path.stat().st_size} bytes, sha256 {digest}")
    export.read_weights(path, network)
    score.report(evaluate.examine(network, vocabulary))


if __name__ == "__main__":
    main()
