"""What LoRA adapters cost: four streams with none, with one for all, and with several in turn.

A step has one adapter, so streams of two adapters take two passes for a token of each, and each
change of adapters makes llama.cpp plan its graphs anew. Random weights of the 135M shape, adapters
of rank 4 on four matrices of each block. The cases take turns; a figure is the median of the
rounds, in brackets the least and the most.

    make bench ARGS=benchmarks/adapters.py
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]

from measuring.spread import shown  # noqa: E402  # path first
from support.adapter_files import write_adapter  # noqa: E402  # path first
from support.random_model import SMOLLM2_135M, write_random_model  # noqa: E402  # path first

import pyrunner  # noqa: E402  # path first
from pyrunner.config import EngineConfig  # noqa: E402  # path first
from pyrunner.types import Limits  # noqa: E402  # path first

N_TOKENS = 64
CASES = {
    "none": ("", "", "", ""),
    "one for all": ("a", "a", "a", "a"),
    "two, of two streams each": ("a", "a", "b", "b"),
    "the same, in turn": ("a", "b", "a", "b"),
    "four, of one stream each": ("a", "b", "c", "d"),
}
"""The adapters of the streams."""


def main() -> None:
    """Measure, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "135m.gguf"
        write_random_model(model, vocab="llama-bpe", quantize="Q8_0", **SMOLLM2_135M)
        config = EngineConfig(n_ctx=512, n_lanes=4, speculation="off")
        with pyrunner.Engine(model, config=config) as engine:
            for seed, name in enumerate("abcd"):
                path = write_adapter(Path(folder) / f"{name}.gguf", model, seed=seed)
                engine.load_adapter(name, path)
            rates = _rates(engine, options.rounds)
    print("| adapters | tokens/s | to none |\n|---|---|---|")
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(values, rates["none"], strict=True))
        print(f"| {name} | {shown(values, 0)} | {ratio:.2f} |")


def _rates(engine: pyrunner.Engine, n_rounds: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in CASES}
    for i_round in range(n_rounds + 1):  # the first one warms up
        for name, adapters in CASES.items():
            rate = _rate(engine, adapters)
            if i_round:
                rates[name].append(rate)
    return rates


def _rate(engine: pyrunner.Engine, adapters: Sequence[str]) -> float:
    limits = Limits(max_tokens=N_TOKENS, ignore_eos=True)
    streams = [
        engine.generate([100 + i], limits=limits, adapter=adapter)
        for i, adapter in enumerate(adapters)
    ]
    begin_s = time.perf_counter()
    for _ in zip_longest(*streams):
        pass
    return len(streams) * N_TOKENS / (time.perf_counter() - begin_s)


if __name__ == "__main__":
    main()
