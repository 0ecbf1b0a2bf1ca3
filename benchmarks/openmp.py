"""Should ggml be built with OpenMP? One stream decodes; alone, and beside one busy core.

Builds llama.cpp's own `llama-bench` twice, with GGML_OPENMP on and off, writes a random-weight
model of SmolLM2's 135M shape, and runs every variant in turn, round after round, so that whatever
else the machine does hits all of them alike. A figure is the median over rounds; a ratio is the
median of the rounds' own ratios to the first variant.

    make bench ARGS=benchmarks/openmp.py
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]

from measuring import llama_cpp  # noqa: E402  # path first
from measuring.machine import busy_processes  # noqa: E402  # path first
from measuring.programs import MeasurementError  # noqa: E402  # path first
from support.random_model import SMOLLM2_135M, write_random_model  # noqa: E402  # path first


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to wait for the other threads of a step."""

    name: str
    build: str
    n_threads: int = 2
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


VARIANTS = (
    Variant(name="own pool, polling (default)", build="OFF"),
    Variant(name="own pool, passive", build="OFF", arguments=("--poll", "0")),
    Variant(name="own pool, one thread", build="OFF", n_threads=1),
    Variant(name="OpenMP (default)", build="ON"),
    Variant(name="OpenMP, passive", build="ON", environment=(("OMP_WAIT_POLICY", "passive"),)),
)


def main() -> None:
    """Build, measure, print two Markdown tables."""
    options = _arguments()
    for build in ("OFF", "ON"):
        folder, openmp = options.work / build, {"GGML_OPENMP": build}
        llama_cpp.build(ROOT / "llama.cpp", folder, ["llama-bench"], openmp)
    model = options.work / "random-135m-q8_0.gguf"
    if not model.exists():
        write_random_model(model, vocab="qwen2", quantize="Q8_0", **SMOLLM2_135M)
    print(f"{os.cpu_count()} cores, load {_load()} at the start, {options.rounds} rounds\n")
    for title, n_busy in (("alone", 0), ("beside one busy process", 1)):
        with busy_processes(n_busy):
            rounds = [
                [_decode_rate(options, model, variant) for variant in VARIANTS]
                for _ in range(options.rounds)
            ]
        _print_table(title, rounds)
    print(f"load {_load()} at the end")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=64, help="decoded per run")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "openmp")
    return parser.parse_args()


def _load() -> str:
    return f"{os.getloadavg()[0]:.2f}"


def _decode_rate(options: argparse.Namespace, model: Path, variant: Variant) -> float:
    """Tokens per second of one stream."""
    binary = options.work / variant.build / "bin" / "llama-bench"
    command = [str(binary), "-m", str(model), "-t", str(variant.n_threads), "-p", "0"]
    command += ["-n", str(options.tokens), "-r", "1", "-o", "json", *variant.arguments]
    done = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | dict(variant.environment),
    )
    return float(json.loads(done.stdout)[0]["avg_ts"])


def _print_table(title: str, rounds: list[list[float]]) -> None:
    print(f"| decode, {title} | tok/s (min .. max) | ratio |\n|---|---|---|")
    for i_variant, variant in enumerate(VARIANTS):
        rates = [rates[i_variant] for rates in rounds]
        ratio = statistics.median(rates[i_variant] / rates[0] for rates in rounds)
        spread = f"({min(rates):.1f} .. {max(rates):.1f})"
        print(f"| {variant.name} | {statistics.median(rates):.1f} {spread} | {ratio:.2f} |")
    print(flush=True)


if __name__ == "__main__":
    try:
        main()
    except MeasurementError as error:
        sys.exit(str(error))
