"""The command: reads the options, measures row after row, prints and writes the table."""

import argparse
import signal
import sys
from pathlib import Path

from measuring import machine, programs, table

from distribution.bench import N_LAYERS, Plan, prepared
from distribution.measures import MEASURES
from distribution.models import MIN_LAYER_MIB
from distribution.shaping_proxy import Shape


def main(root: Path) -> None:
    """Print the table of a measurement of the pyrunner beside this interpreter.

    Args:
        root: The checkout, below which files are written unless options say otherwise.
    """
    options = _arguments(root)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shape = Shape(options.latency_ms / 1000, options.rate_mb_s * 1e6)
    plan = Plan(
        n_pairs=options.pairs, size_mib=options.size_mib, shaped_mib=options.shaped_mib, shape=shape
    )
    try:
        _measure(plan, options)
    except programs.MeasurementError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _measure(plan: Plan, options: argparse.Namespace) -> None:
    load = machine.load()
    with prepared(plan, options.work) as bench:
        machine.warn_unless_quiet(load)
        facts = _facts(options) | {"load at the start": load}
        rows = [row for name in options.rows for row in MEASURES[name](bench)]
    table.write(options.results, "distribution", rows, facts)
    print(table.as_text(rows, facts), end="")


def _facts(options: argparse.Namespace) -> dict[str, object]:
    return machine.facts() | {
        "pyrunner": programs.run(programs.pyrunner("--version")).strip(),
        "skopeo": programs.run(("skopeo", "--version")).strip(),
        "docker-registry": programs.run(("docker-registry", "--version")).strip(),
        "pairs": options.pairs,
    }


def _arguments(root: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast models move, as one table.")
    parser.add_argument("--size-mib", type=machine.at_least(N_LAYERS * MIN_LAYER_MIB), default=1024)
    parser.add_argument(
        "--shaped-mib",
        type=machine.at_least(N_LAYERS * MIN_LAYER_MIB),
        default=256,
        help="size of what comes through the shaping proxy",
    )
    parser.add_argument("--pairs", type=machine.at_least(1), default=9, help="runs of each side")
    parser.add_argument("--latency-ms", type=float, default=50.0, help="each way")
    parser.add_argument("--rate-mb-s", type=float, default=20.0, help="of one connection")
    parser.add_argument("--rows", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--work", type=Path, default=root / "build" / "distribution")
    parser.add_argument("--results", type=Path, default=root / "benchmarks" / "results")
    return parser.parse_args()
