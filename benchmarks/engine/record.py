"""Rows that are measured again beside those that stay."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from measuring import table
from measuring.table import AnyRow

from engine.rows import ROWS

_FACTS = ("measured", "machine", "commit", "load at the start")
"""What is told of a row that was measured apart from the others."""

Record = tuple[list[AnyRow], dict[str, object]]
"""Rows and facts, as a file has them."""


def number_of(row: AnyRow) -> int:
    """Of the table: what a row's text begins with."""
    return int(row.what.partition(".")[0])


def earlier(path: Path, numbers: Sequence[int]) -> Record:
    """What stays of a file while some rows are measured; nothing when all are.

    Args:
        path: The JSON of an earlier race, which need not be there.
        numbers: The rows that are measured.
    """
    if not path.exists() or set(numbers) == set(ROWS):
        return [], {}
    return table.read(path)


def merged(before: Record, rows: Sequence[AnyRow], facts: Mapping[str, object]) -> Record:
    """The rows of both in the table's order; a number that was measured again has only new ones.

    The facts are those of the earlier race; of each new number they say when and on what it was,
    and once they say so of all numbers, nothing of the earlier race is left to tell.
    """
    old_rows, old_facts = before
    measured = {number_of(row) for row in rows}
    kept = [row for row in old_rows if number_of(row) not in measured]
    if not kept:
        return list(rows), dict(facts)
    apart = ", ".join(f"{key} {facts[key]}" for key in _FACTS if key in facts)
    again = {f"row {number}": apart for number in sorted(measured)}
    shown = sorted([*kept, *rows], key=number_of)
    told = old_facts | again
    if all(f"row {number_of(row)}" in told for row in shown):
        told = {key: value for key, value in told.items() if key not in _FACTS}
    return shown, told
