"""The command: reads the options, measures row after row, prints and writes the table."""

import argparse
import datetime as dt
import os
import platform
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from distribution import programs, table
from distribution.bench import N_LAYERS, Plan, prepared
from distribution.measures import MEASURES
from distribution.models import MIN_LAYER_MIB
from distribution.pairs import report
from distribution.shaping_proxy import Shape

_QUIET_LOAD = 0.5
"""Above it something else runs, and the figures are not worth keeping."""


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
    load = os.getloadavg()[0]
    with prepared(plan, options.work) as bench:
        if load > _QUIET_LOAD:
            report(f"The load was {load:.2f} before this began: these figures are not to be kept.")
        facts = _facts(options) | {"load at the start": round(load, 2)}
        rows = [row for name in options.rows for row in MEASURES[name](bench)]
    table.write(options.results, rows, facts)
    print(table.as_text(rows, facts), end="")


def _facts(options: argparse.Namespace) -> dict[str, object]:
    now = dt.datetime.now(dt.UTC)
    return {
        "measured": now.isoformat(timespec="seconds"),
        "pyrunner": programs.run(programs.pyrunner("--version")).strip(),
        "skopeo": programs.run(("skopeo", "--version")).strip(),
        "docker-registry": programs.run(("docker-registry", "--version")).strip(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.release()}",
        "pairs": options.pairs,
    }


def _arguments(root: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast models move, as one table.")
    parser.add_argument("--size-mib", type=_at_least(N_LAYERS * MIN_LAYER_MIB), default=1024)
    parser.add_argument(
        "--shaped-mib",
        type=_at_least(N_LAYERS * MIN_LAYER_MIB),
        default=256,
        help="size of what comes through the shaping proxy",
    )
    parser.add_argument("--pairs", type=_at_least(1), default=9, help="runs of each side")
    parser.add_argument("--latency-ms", type=float, default=50.0, help="each way")
    parser.add_argument("--rate-mb-s", type=float, default=20.0, help="of one connection")
    parser.add_argument("--rows", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--work", type=Path, default=root / "build" / "distribution")
    parser.add_argument("--results", type=Path, default=root / "benchmarks" / "results")
    return parser.parse_args()


def _at_least(smallest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"is less than {smallest}")
        return value

    return number
