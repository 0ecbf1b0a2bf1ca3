"""What a pass costs with weights in pages of the mapped file, and with the same in large pages.

Loads a random-weight model of SmolLM2's 135M shape again for each round, times passes, moves the
weights as `pyrunner.engine.large_pages` does, and times the same passes again. It does so with a
file that the system has cached page by page, as all do that know no larger pieces, and with one
that it has read at once, in the largest pieces it knows. A figure is the median of the rounds'
medians, in brackets the least and the most, and a ratio the median of the rounds' own. The first
passes of either part are not counted.

    make bench ARGS=benchmarks/large_pages.py
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]

from measuring.spread import shown  # noqa: E402  # path first
from support.random_model import SMOLLM2_135M, write_random_model  # noqa: E402  # path first

from pyrunner._native import LargePages, Model, Session  # noqa: E402  # path first
from pyrunner.engine.large_pages import has_large_pages  # noqa: E402  # path first
from pyrunner.engine.sampling import native_params  # noqa: E402  # path first
from pyrunner.engine.step import ROW_SAMPLE, ROW_SILENT, write_rows  # noqa: E402  # path first
from pyrunner.types import SamplingParams  # noqa: E402  # path first

LANES = (1, 2, 4, 8)
"""A pass reads one token of each."""
N_HELD = 256
N_WARM = 8


@dataclass(frozen=True, slots=True)
class _Round:
    moved_ms: float
    """How long all weights took to move."""
    passes_ms: Sequence[tuple[float, float]]
    """For each of `LANES`, before and after."""


def main() -> None:
    """Measure, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--passes", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if not has_large_pages():
        sys.exit("This system has no large pages of 2 MB for programs that ask for them.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random-135m-q8_0.gguf"
        write_random_model(path, vocab="gpt-2", quantize="Q8_0", **SMOLLM2_135M)
        for title, cache in (("page by page", _cache_by_page), ("at once", _cache_at_once)):
            cache(path)
            _print(title, [_round(path, options) for _ in range(options.rounds)])


def _print(title: str, rounds: Sequence[_Round]) -> None:
    print(
        f"| lanes with a token each, cached {title} | ms in the file | ms in large pages | ratio |"
    )
    print("|---|---|---|---|")
    for i, n_lanes in enumerate(LANES):
        small, large = zip(*(each.passes_ms[i] for each in rounds), strict=True)
        ratio = statistics.median(b / a for a, b in zip(small, large, strict=True))
        print(f"| {n_lanes} | {shown(small, 1)} | {shown(large, 1)} | {ratio:.2f} |")
    print(f"\nMoving took {shown([each.moved_ms for each in rounds], 1)} ms.\n", flush=True)


def _cache_at_once(path: Path) -> None:
    file = _uncached(path)
    while os.read(file, 1 << 24):
        pass
    os.close(file)


def _cache_by_page(path: Path) -> None:
    file = _uncached(path)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)  # no pages beside the one that is asked for
    for start in range(0, path.stat().st_size, os.sysconf("SC_PAGE_SIZE")):
        os.pread(file, 1, start)
    os.close(file)


def _uncached(path: Path) -> int:
    """A file that is open and no longer in the page cache."""
    file = os.open(path, os.O_RDWR)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    return file


def _round(path: Path, options: argparse.Namespace) -> _Round:
    model = Model()
    model.load([os.fsencode(path)])
    session = Session(model, n_ctx=2048, n_lanes=max(LANES), n_batch=128, n_threads=options.threads)
    for lane in range(max(LANES)):
        session.open_lane(lane, native_params(SamplingParams(temperature=0), ignore_eos=True))
        for start in range(0, N_HELD, 128):
            session.step(0, write_rows(session, 0, lane, _drawn(128), start, ROW_SILENT))
    before = [_median_ms(session, n_lanes, options.passes) for n_lanes in LANES]
    pages = LargePages(model)
    begin = time.perf_counter()
    while pages.n_left_bytes:
        if not pages.move(2 * 1024 * 1024):
            sys.exit("The system has no memory for the copy.")
    moved_ms = (time.perf_counter() - begin) * 1000
    after = [_median_ms(session, n_lanes, options.passes) for n_lanes in LANES]
    return _Round(moved_ms, list(zip(before, after, strict=True)))


def _median_ms(session: Session, n_lanes: int, n_passes: int) -> float:
    times = [_pass_ms(session, n_lanes) for _ in range(N_WARM + n_passes)]
    return statistics.median(times[N_WARM:])


def _pass_ms(session: Session, n_lanes: int) -> float:
    n_rows = 0
    for lane in range(n_lanes):
        n_rows = write_rows(session, n_rows, lane, _drawn(1), N_HELD, ROW_SAMPLE)
    begin = time.perf_counter()
    session.step(0, n_rows)
    passed_ms = (time.perf_counter() - begin) * 1000
    for lane in range(n_lanes):
        session.truncate_lane(lane, N_HELD)
    return passed_ms


def _drawn(n_tokens: int) -> list[int]:
    return random.choices(range(1000, 40_000), k=n_tokens)  # no secret


if __name__ == "__main__":
    main()
