"""What a step costs by the kind of weights, against llama.cpp's own batched-bench.

Quantises a random-weight model to several kinds, and decodes 64 tokens behind prompts of 16 in one
lane and in several, beside `llama-batched-bench` of the same commit, which is built for it (its
defaults, so with OpenMP and automatic flash attention). Neither has a server; ours leaves the
weights in the mapped file, as the other does, and chooses tokens, which the other draws. Both take
turns; a figure is the median in tokens per second, in brackets the least and the most, and a ratio
the median of the rounds' own.

    make bench ARGS=benchmarks/weights.py
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]

from engine import peers  # noqa: E402  # path first
from measuring.pairs import take_turns  # noqa: E402  # path first
from measuring.spread import shown  # noqa: E402  # path first
from support.random_model import write_random_model  # noqa: E402  # path first

from pyrunner._native import Model, Session, quantize  # noqa: E402  # path first
from pyrunner.engine.sampling import native_params  # noqa: E402  # path first
from pyrunner.engine.step import ROW_SAMPLE, ROW_SILENT, write_rows  # noqa: E402  # path first
from pyrunner.gguf.types import FILE_TYPES  # noqa: E402  # path first
from pyrunner.types import SamplingParams  # noqa: E402  # path first

SHAPE = {"n_layer": 24, "n_embd": 768, "n_head": 12, "n_head_kv": 4, "n_ff": 2048}
"""K-quants are of 256 numbers, which SmolLM2's 576 are no multiple of."""
KINDS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q5_1", "BF16", "F16")
LANES = (1, 2, 4, 8)
N_PROMPT = 16
N_WARM = 8
"""Tokens that are not counted: the first pass maps the file's pages. The other warms up, too."""
N_OUT = 64
_Rates = dict[int, float]
"""Tokens per second, by lanes."""


def main() -> None:
    """Measure, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    bench = peers.built(ROOT).batched_bench
    print("| weights | lanes | ours, tokens/s | llama.cpp's | ratio |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "f16.gguf"
        write_random_model(whole, vocab="gpt-2", quantize="F16", n_ctx_train=2048, **SHAPE)
        for kind in options.kinds:
            path = _quantized(whole, kind, options.threads)
            results = take_turns(
                {
                    "ours": lambda _, path=path: _our_rates(path, options.threads),
                    "theirs": lambda _, path=path: _their_rates(bench, path, options.threads),
                },
                options.rounds,
                lambda _: None,
            )
            _print(kind, results["ours"], results["theirs"])


def _quantized(whole: Path, kind: str, n_threads: int) -> Path:
    if kind == "F16":
        return whole
    path = whole.with_name(f"{kind}.gguf")
    file_type = next(number for number, name in FILE_TYPES.items() if name == kind)
    status, problem = quantize(os.fsencode(whole), os.fsencode(path), file_type, n_threads)
    if status != 0:
        sys.exit(f"{kind} was not made: {problem}")
    return path


def _our_rates(path: Path, n_threads: int) -> _Rates:
    model = Model()
    model.load([os.fsencode(path)])
    return {n_lanes: _our_rate(model, n_lanes, n_threads) for n_lanes in LANES}


def _our_rate(model: Model, n_lanes: int, n_threads: int) -> float:
    session = Session(model, n_ctx=256, n_lanes=n_lanes, n_batch=128, n_threads=n_threads)
    sampling = native_params(SamplingParams(temperature=0), ignore_eos=True)
    for lane in range(n_lanes):
        session.open_lane(lane, sampling)
        prompt = random.choices(range(1000, 40_000), k=N_PROMPT)  # no secret
        session.step(0, write_rows(session, 0, lane, prompt, 0, ROW_SILENT))
    tokens, begin = [1000] * n_lanes, 0.0
    for position in range(N_PROMPT, N_PROMPT + N_WARM + N_OUT):
        if position == N_PROMPT + N_WARM:
            begin = time.perf_counter()
        n_rows = 0
        for lane, token in enumerate(tokens):
            n_rows = write_rows(session, n_rows, lane, [token], position, ROW_SAMPLE)
        session.step(n_rows, 0)
        tokens = list(session.result[1])
    return n_lanes * N_OUT / (time.perf_counter() - begin)


def _their_rates(bench: str, path: Path, n_threads: int) -> _Rates:
    counts = ",".join(map(str, LANES))
    command = [bench, "-m", str(path), "-t", str(n_threads), "-c", str(256 * max(LANES))]
    command += ["-npp", str(N_PROMPT), "-ntg", str(N_OUT), "-npl", counts]
    command += ["--output-format", "jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["pl"]: line["speed_tg"] for line in lines}


def _print(kind: str, ours: Sequence[_Rates], theirs: Sequence[_Rates]) -> None:
    for n_lanes in LANES:
        own = [each[n_lanes] for each in ours]
        other = [each[n_lanes] for each in theirs]
        ratio = statistics.median(a / b for a, b in zip(own, other, strict=True))
        print(
            f"| {kind} | {n_lanes} | {shown(own, 0)} | {shown(other, 0)} | {ratio:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
