"""What a pass costs: by its lanes and tokens, with flash attention and without, against a copy.

Times single passes of a random-weight model of SmolLM2's 135M shape over lanes that hold 300 or
1,400 tokens; reads a prompt of 2,000 tokens in chunks; saves and restores it, as the prefix cache
does. With and without take turns; a figure is the median, in brackets the least and the most, and
a ratio the median of the rounds' own.

    make bench ARGS=benchmarks/passes.py
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]

from measuring.spread import shown  # noqa: E402  # path first
from support.random_model import SMOLLM2_135M, write_random_model  # noqa: E402  # path first

from pyrunner._native import Model, Session  # noqa: E402  # path first
from pyrunner.engine.sampling import native_params  # noqa: E402  # path first
from pyrunner.engine.step import ROW_SAMPLE, ROW_SILENT, write_rows  # noqa: E402  # path first
from pyrunner.types import SamplingParams  # noqa: E402  # path first

SHAPES = (
    *((1,) * n for n in (1, 2, 4, 8, 16, 32)),
    *((n,) for n in (4, 8, 16, 32, 64, 128, 192)),
    (8,) * 8,
    (64, 64),
    (22, 106),
)
"""Tokens of each lane in the pass."""
DEPTHS = (300, 1400)
"""Tokens that every lane holds before it."""
CHUNKS = (64, 96, 128, 192, 256, 512)
N_PROMPT = 2000
WITHOUT, WITH = 0, 1  # flash attention
_SETTLE_S = 0.4
"""Before a pass: ggml's threads wait at full speed for a while, in the way of another session's."""
_CONTEXT = {"n_ctx": 2048, "n_lanes": 32}


def main() -> None:
    """Measure, print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random-135m-q8_0.gguf"
        write_random_model(path, vocab="gpt-2", quantize="Q8_0", **SMOLLM2_135M)
        model = Model()
        model.load([os.fsencode(path)])
        for n_held in DEPTHS:
            _compare_passes(model, n_held, options)
        _compare_chunks(model, options)
        _copy(model, options)


def _session(model: Model, attention: int, n_threads: int) -> Session:
    return Session(model, **_CONTEXT, n_batch=512, n_threads=n_threads, flash_attention=attention)


def _compare_passes(model: Model, n_held: int, options: argparse.Namespace) -> None:
    sessions = [_session(model, attention, options.threads) for attention in (WITHOUT, WITH)]
    for session in sessions:
        _read(session, n_held, 128)
        state = session.save_lane(0)
        for lane in range(session.n_lanes):
            session.restore_lane(lane, state)
            session.open_lane(lane, native_params(SamplingParams(temperature=0), ignore_eos=True))
    print(f"| lanes of {n_held:,} x tokens | ms without | ms with | without / with |")
    print("|---|---|---|---|")
    for shape in SHAPES:
        is_even = len(set(shape)) == 1
        what = f"{len(shape)} x {shape[0]}" if is_even else " + ".join(map(str, shape))
        for session in sessions:
            _pass_ms(session, n_held, shape)  # makes the graph
        rounds = [
            [_pass_ms(session, n_held, shape) for session in sessions]
            for _ in range(options.rounds)
        ]
        _print_line(what, rounds)
    print()


def _print_line(what: str, rounds: Sequence[Sequence[float]]) -> None:
    without, with_it = zip(*rounds, strict=True)
    ratio = statistics.median(ours / theirs for ours, theirs in rounds)
    print(f"| {what} | {shown(without, 0)} | {shown(with_it, 0)} | {ratio:.2f} |", flush=True)


def _pass_ms(session: Session, n_held: int, shape: Sequence[int]) -> float:
    n_rows = 0
    for lane, n_tokens in enumerate(shape):
        n_rows = write_rows(session, n_rows, lane, _drawn(n_tokens), n_held, ROW_SAMPLE)
    time.sleep(_SETTLE_S)
    passed_ms = _timed_ms(session, n_rows)
    for lane in range(len(shape)):
        session.truncate_lane(lane, n_held)
    return passed_ms


def _compare_chunks(model: Model, options: argparse.Namespace) -> None:
    print(f"| {N_PROMPT:,} tokens in chunks of | ms without | ms with | without / with |")
    print("|---|---|---|---|")
    sessions = [_session(model, attention, options.threads) for attention in (WITHOUT, WITH)]
    for n_chunk in CHUNKS:
        rounds = [
            [_read(session, N_PROMPT, n_chunk) for session in sessions]
            for _ in range(max(1, options.rounds // 2))
        ]
        _print_line(str(n_chunk), rounds)


def _read(session: Session, n_tokens: int, n_chunk: int) -> float:
    """Read a prompt into lane 0; returns the milliseconds of its passes."""
    session.clear_lane(0)
    time.sleep(_SETTLE_S)
    passed_ms = 0.0
    for start in range(0, n_tokens, n_chunk):
        part = _drawn(min(n_chunk, n_tokens - start))
        passed_ms += _timed_ms(session, write_rows(session, 0, 0, part, start, ROW_SILENT))
    return passed_ms


def _timed_ms(session: Session, n_rows: int) -> float:
    begin = time.perf_counter()
    session.step(0, n_rows)
    return (time.perf_counter() - begin) * 1000


def _copy(model: Model, options: argparse.Namespace) -> None:
    session = _session(model, WITHOUT, options.threads)
    _read(session, N_PROMPT, 128)
    saved_ms, restored_ms = [], []
    for _ in range(options.rounds):
        begin = time.perf_counter()
        state = session.save_lane(0)
        middle = time.perf_counter()
        session.restore_lane(1, state)
        saved_ms.append((middle - begin) * 1000)
        restored_ms.append((time.perf_counter() - middle) * 1000)
    print(f"\n{N_PROMPT:,} tokens are saved in {shown(saved_ms, 0)} ms", end=" ")
    print(f"and restored in {shown(restored_ms, 0)} ms")


def _drawn(n_tokens: int) -> list[int]:
    return random.choices(range(1000, 40_000), k=n_tokens)  # no secret


if __name__ == "__main__":
    main()
