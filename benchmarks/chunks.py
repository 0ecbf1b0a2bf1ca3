"""What a chunk of a prompt costs: by its length, when it is of two prompts, and against a copy.

Times single steps of a random-weight model of SmolLM2's 135M shape that read a chunk into lanes
of 300 tokens each. Then reads, saves and restores a prompt of 1,400 tokens, as the prefix cache
does. A figure is the median.

    make bench ARGS=benchmarks/chunks.py
"""

import argparse
import itertools
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.random_model import SMOLLM2_135M, write_random_model  # noqa: E402  # path first

from pyrunner import Engine  # noqa: E402  # path first
from pyrunner.config import EngineConfig  # noqa: E402  # path first
from pyrunner.engine.sampling import native_params  # noqa: E402  # path first
from pyrunner.engine.step import ROW_SAMPLE, ROW_SILENT, write_rows  # noqa: E402  # path first
from pyrunner.types import SamplingParams  # noqa: E402  # path first

CHUNKS = ((8,), (16,), (22,), (32,), (64,), (128,), (192,), (256,), (512,), (64, 64), (22, 106))
"""Tokens of each prompt that is read in the step."""
N_HELD = 300
N_COPIED = 1400


def main() -> None:
    """Measure, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    config = EngineConfig(n_lanes=4, n_ctx=2048, n_threads=options.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random-135m-q8_0.gguf"
        write_random_model(path, vocab="gpt-2", quantize="Q8_0", **SMOLLM2_135M)
        with Engine(path, config=config) as engine:
            rounds = [[_timed_ms(engine, chunk) for chunk in CHUNKS] for _ in range(options.rounds)]
            copies = [_copied_ms(engine) for _ in range(options.rounds)]
    print("| tokens of each prompt | ms | ms per token |\n|---|---|---|")
    for chunk, times_ms in zip(CHUNKS, zip(*rounds, strict=True), strict=True):
        middle = statistics.median(times_ms)
        what = " + ".join(map(str, chunk))
        print(f"| {what} | {middle:.0f} ({min(times_ms):.0f} .. {max(times_ms):.0f}) "
              f"| {middle / sum(chunk):.2f} |")  # fmt: skip
    read, saved, restored = (statistics.median(each) for each in zip(*copies, strict=True))
    print(f"\n{N_COPIED} tokens: read in {read:.0f} ms, saved in {saved:.1f} and restored in "
          f"{restored:.1f}")  # fmt: skip


def _copied_ms(engine: Engine) -> tuple[float, float, float]:
    """Read a prompt, save its lane, restore it into another one."""
    session = engine._open_loop().session  # noqa: SLF001  # one lane by itself
    numbers = random.Random(7)
    times_s = [time.perf_counter()]
    for start in range(0, N_COPIED, 350):
        part = [numbers.randrange(1000, 40_000) for _ in range(350)]
        session.step(0, write_rows(session, 0, 0, part, start, ROW_SILENT))
    times_s.append(time.perf_counter())
    state = session.save_lane(0)
    times_s.append(time.perf_counter())
    session.restore_lane(1, state)
    times_s.append(time.perf_counter())
    for lane in (0, 1):
        session.clear_lane(lane)
    read, saved, restored = (1000 * (b - a) for a, b in itertools.pairwise(times_s))
    return read, saved, restored


def _timed_ms(engine: Engine, chunk: tuple[int, ...]) -> float:
    session = engine._open_loop().session  # noqa: SLF001  # one step by itself
    numbers = random.Random(7)
    for lane in range(len(chunk)):
        session.clear_lane(lane)
        session.open_lane(lane, native_params(SamplingParams(temperature=0), ignore_eos=True))
        held = [numbers.randrange(1000, 40_000) for _ in range(N_HELD)]
        session.step(0, write_rows(session, 0, lane, held, 0, ROW_SAMPLE))
    n_rows = 0
    for lane, n_tokens in enumerate(chunk):
        part = [numbers.randrange(1000, 40_000) for _ in range(n_tokens)]
        n_rows = write_rows(session, n_rows, lane, part, N_HELD, ROW_SAMPLE)
    began = time.perf_counter()
    session.step(0, n_rows)
    passed_ms = (time.perf_counter() - began) * 1000
    for lane in range(len(chunk)):
        session.close_lane(lane)
        session.clear_lane(lane)
    return passed_ms


if __name__ == "__main__":
    main()
