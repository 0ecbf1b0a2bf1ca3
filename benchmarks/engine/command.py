"""The command: reads the options, races row after row, prints and writes table and plot."""

import argparse
import os
import signal
import sys
from pathlib import Path

from measuring import machine, programs, table
from measuring.pairs import report

from engine import pages, plot, record
from engine.bench import Bench, Plan, prepared
from engine.rows import ROWS

_NAME = "engine"


def main(root: Path) -> None:
    """Print the table of a race of the pyrunner beside this interpreter.

    Args:
        root: The checkout, below which files are written unless options say otherwise.
    """
    options = _arguments(root)
    if options.pages:
        pages.refresh(root)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = Plan(n_pairs=options.pairs, is_quick=options.quick, n_threads=options.threads)
    try:
        _measure(plan, root, options)
    except programs.MeasurementError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _measure(plan: Plan, root: Path, options: argparse.Namespace) -> None:
    plot.check_installed()
    results = options.results or (
        options.work / "results" if plan.is_quick else root / pages.RESULTS
    )
    load = machine.load()
    with prepared(plan, root, options.work) as bench:
        machine.warn_unless_quiet(load)
        facts = _facts(bench) | {"load at the start": load}
        if any(ROWS[number].has_peers for number in options.rows):
            _ = bench.peers  # what cannot be built is said before anything is measured
        before = record.earlier(results / f"{_NAME}.json", options.rows)
        rows: list[table.AnyRow] = []
        failures: list[str] = []
        for number in options.rows:
            report(_announced(number, plan))
            try:
                rows += ROWS[number].measure(bench)
            except (programs.MeasurementError, OSError) as error:
                failures.append(f"Row {number} failed: {error}")
                why = table.in_one_line(f"failed: {error}")
                rows.append(table.NotMeasured(what=f"{number}. {ROWS[number].title}", why=why))
            # After every row, so that hours are not lost with the last one.
            shown, known = record.merged(before, rows, facts)
            table.write(results, _NAME, shown, known)
            plot.write(results / f"{_NAME}.png", shown)
            if results.resolve().is_relative_to((root / pages.RESULTS).resolve()):
                pages.refresh(root)
    print(table.as_text(rows, facts), end="")
    if failures:
        sys.exit("\n".join(failures))


def _facts(bench: Bench) -> dict[str, object]:
    pairs = bench.plan.n_pairs or (
        "1, small" if bench.plan.is_quick else "5; 15 for row 1, 9 for row 8"
    )
    return machine.facts() | {
        "pyrunner": programs.run(programs.pyrunner("--version")).strip(),
        "commit": _commit(bench.root),
        "llama.cpp": _commit(bench.root / "llama.cpp"),
        "threads of each": bench.plan.n_threads,
        "pairs": pairs,
    }


def _commit(folder: Path) -> str:
    try:
        return programs.run(("git", "-C", str(folder), "rev-parse", "HEAD")).strip()
    except (programs.MeasurementError, OSError):
        return "unknown"  # the sources came without their history


def _announced(number: int, plan: Plan) -> str:
    workload = ROWS[number]
    is_usual = plan.n_pairs is None and not plan.is_quick
    duration = f", about {workload.minutes:g} min" if is_usual else ""
    return f"row {number}: {workload.title}{duration}"


def _arguments(root: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Our engine against llama-server, as one table.")
    parser.add_argument("--rows", type=_rows, default=list(ROWS), help="such as 1,2,3")
    parser.add_argument("--pairs", type=machine.at_least(1), help="runs of each side")
    parser.add_argument("--quick", action="store_true", help="small and once: does it work?")
    parser.add_argument("--threads", type=machine.at_least(1), default=len(os.sched_getaffinity(0)))
    parser.add_argument("--work", type=Path, default=root / "build" / "engine-race")
    parser.add_argument("--results", type=Path, help="a folder; with --quick below --work")
    parser.add_argument("--pages", action="store_true", help="only write the last figures there")
    return parser.parse_args()


def _rows(text: str) -> list[int]:
    """Numbers of the table, each once, in its order.

    Raises:
        ArgumentTypeError: One is no row.
    """
    wanted = {each.strip() for each in text.split(",")}
    unknown = wanted - {str(number) for number in ROWS}
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no row {', '.join(sorted(unknown))}")
    return [number for number in ROWS if str(number) in wanted]
