"""What choosing a step's tokens costs: on one thread, and on as many as the session has.

Times `Session.finish` after passes of a tiny random-weight model with a real vocabulary, whose
forward pass `Session.begin` has done. Logits of random weights are flat, so samplers keep many
more tokens than with a trained model. Both ways take turns; a figure is the median, in brackets
the least and the most, and a ratio the median of the rounds' own.

    make bench ARGS=benchmarks/sampling.py
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]

from measuring.spread import shown  # noqa: E402  # path first
from support.random_model import Shape, write_random_model  # noqa: E402  # path first

from pyrunner._native import Model, Session  # noqa: E402  # path first
from pyrunner.engine.sampling import native_params  # noqa: E402  # path first
from pyrunner.engine.step import ROW_SAMPLE, write_rows  # noqa: E402  # path first
from pyrunner.types import SamplingParams  # noqa: E402  # path first

TINY: Shape = {
    "n_layer": 1,
    "n_embd": 64,
    "n_head": 2,
    "n_head_kv": 2,
    "n_ff": 64,
    "n_ctx_train": 1024,
}
VOCABULARIES = ("gpt-2", "qwen2")
LANES = (2, 8, 32)
SAMPLERS = (
    ("greedy", SamplingParams(temperature=0), -1),
    ("greedy, 20 logprobs", SamplingParams(temperature=0), 20),
    ("top-k 40, top-p 0.95", SamplingParams(temperature=0.8, top_k=40, top_p=0.95), -1),
    ("no top-k, top-p 0.95", SamplingParams(temperature=0.8, top_k=0, top_p=0.95), -1),
    ("penalties, top-k 40", SamplingParams(temperature=0.8, top_k=40, repeat_penalty=1.1), -1),
)
"""What it is called, how tokens are chosen, likeliest tokens with logprobs."""


def main() -> None:
    """Measure, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(f"| vocabulary | lanes | sampling | ms on 1 | ms on {options.threads} | ratio |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for vocabulary in VOCABULARIES:
            path = write_random_model(Path(folder) / "tiny.gguf", vocab=vocabulary, **TINY)
            model = Model()
            model.load([os.fsencode(path)])
            for n_lanes in LANES:
                _compare(model, n_lanes, options)


def _compare(model: Model, n_lanes: int, options: argparse.Namespace) -> None:
    session = Session(model, n_ctx=256, n_lanes=n_lanes, n_batch=64, n_threads=options.threads)
    for name, sampling, n_logprobs in SAMPLERS:
        for lane in range(n_lanes):
            native = native_params(sampling, ignore_eos=True)
            session.open_lane(lane, native, n_logprobs=n_logprobs)
        _choose_ms(session, options.threads)  # touches the memory
        rounds = [
            [_choose_ms(session, n_threads) for n_threads in (1, options.threads)]
            for _ in range(options.rounds)
        ]
        one, several = zip(*rounds, strict=True)
        ratio = statistics.median(a / b for a, b in rounds)
        figures = f"{shown(one, 2)} | {shown(several, 2)} | {ratio:.2f}"
        print(f"| {model.n_vocab:,} | {n_lanes} | {name} | {figures} |", flush=True)


def _choose_ms(session: Session, n_threads: int) -> float:
    session.set_threads(n_threads)
    n_rows = 0
    for lane in range(session.n_lanes):
        session.clear_lane(lane)
        token = random.randrange(1000, 40_000)  # no secret
        n_rows = write_rows(session, n_rows, lane, [token], 0, ROW_SAMPLE)
    session.begin(n_rows, 0)
    begin = time.perf_counter()
    session.finish()
    return (time.perf_counter() - begin) * 1000


if __name__ == "__main__":
    main()
