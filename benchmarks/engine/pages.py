"""The figures of the last race in the pages that show them.

A page has places for them, which begin with ``<!-- figures: 7 -->`` and end with
``<!-- end of figures -->``; what stands between is written here and nowhere else.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from measuring import table
from measuring.table import AnyRow, NotMeasured, Row

from engine.record import number_of
from engine.rows import ROWS

RESULTS = Path("benchmarks") / "results"
_JSON, _PICTURE = RESULTS / "engine.json", RESULTS / "engine.png"
_OTHER_MACHINES = {"without avx512": RESULTS / "without-avx512" / "engine.json"}
"""By the name of their place: a whole table, and what it was measured on."""
PAGES = (Path("README.md"), Path("docs") / "performance.md")
"""Those that have places."""

_PLACE = re.compile(r"(<!-- figures: ([\w ]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
_NOTHING = "Not measured yet: `make bench-engine` writes the figures here.\n"
_SHOWN_FACTS = ("measured", "machine", "commit", "llama.cpp", "pairs", "load at the start")


def refresh(root: Path) -> None:
    """Write what the results of this checkout say into its pages."""
    for page in PAGES:
        (root / page).write_text(refreshed(root, page))


def refreshed(root: Path, page: Path) -> str:
    """One page with the figures in its places.

    Args:
        root: The checkout.
        page: Relative to it.

    Raises:
        ValueError: A place asks for figures that nobody has.
    """
    rows, facts = _results(root / _JSON)
    picture = _PICTURE if (root / _PICTURE).exists() and rows else None
    makers: dict[str, Callable[[], str]] = {str(each): partial(_lines, rows, each) for each in ROWS}
    makers |= {
        "all": lambda: _overview(rows),
        "facts": lambda: _facts(facts),
        "minutes": _minutes,
        "picture": lambda: _link(picture, root / page, root),
    }
    makers |= {name: partial(_whole_table, root / path) for name, path in _OTHER_MACHINES.items()}

    def filled(place: "re.Match[str]") -> str:
        if place[2] not in makers:
            raise ValueError(f"{page} has a place for '{place[2]}', which is none of the figures.")
        return f"{place[1]}{makers[place[2]]()}{place[3]}"

    return _PLACE.sub(filled, (root / page).read_text())


def _results(path: Path) -> tuple[list[AnyRow], dict[str, object]]:
    return table.read(path) if path.exists() else ([], {})


def _whole_table(path: Path) -> str:
    rows, facts = _results(path)
    return f"{_overview(rows)}\n{_facts(facts)}" if rows else _NOTHING


def _rows_of(rows: Sequence[AnyRow], number: int) -> list[AnyRow]:
    return [row for row in rows if number_of(row) == number]


def _lines(rows: Sequence[AnyRow], number: int) -> str:
    found = _rows_of(rows, number)
    if not found:
        return _NOTHING
    return "\n".join([table.HEAD, *(row.line for row in found)]) + "\n"


def _overview(rows: Sequence[AnyRow]) -> str:
    """A line per number."""
    lines = ["| | workload | median (target) | met |", "|---|---|---|---|"]
    for number, workload in ROWS.items():
        found = _rows_of(rows, number)
        measured = [row for row in found if isinstance(row, Row)]
        values = "; ".join(row.short for row in measured)
        if any(isinstance(row, NotMeasured) for row in found) or not found:
            values = "; ".join(filter(None, (values, "not measured")))
        lines.append(f"| {number} | {workload.title} | {values} | {_verdict(measured)} |")
    return "\n".join(lines) + "\n"


def _verdict(rows: Sequence[Row]) -> str:
    n_met = sum(row.is_met for row in rows)
    if n_met == len(rows):
        return "yes" if rows else ""
    return f"{n_met} of {len(rows)}" if n_met else "no"


def _facts(facts: Mapping[str, object]) -> str:
    apart = sorted((key for key in facts if key.startswith("row ")), key=lambda key: int(key[4:]))
    shown = [f"{key}: {facts[key]}" for key in (*_SHOWN_FACTS, *apart) if key in facts]
    return "".join(f"* {each}\n" for each in shown) or _NOTHING


def _minutes() -> str:
    lines = [" | ".join(["| row", *map(str, ROWS), "all |"]), "|---" * (len(ROWS) + 2) + "|"]
    minutes = [workload.minutes for workload in ROWS.values()]
    shown = [f"{each:g}" for each in (*minutes, sum(minutes))]
    return "\n".join([*lines, " | ".join(["| minutes", *shown]) + " |"]) + "\n"


def _link(picture: Path | None, page: Path, root: Path) -> str:
    if picture is None:
        return _NOTHING
    up = "../" * (len(page.relative_to(root).parts) - 1)
    return f"![Every promise as a share of its target]({up}{picture.as_posix()})\n"
