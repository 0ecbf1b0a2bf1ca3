"""The places of a page get the figures of the results, and nothing else changes."""

from pathlib import Path

import pytest
from engine import pages
from measuring import table
from measuring.table import AnyRow, NotMeasured, Row

PAGE = Path("docs") / "performance.md"


def _place(name: str) -> str:
    return f"<!-- figures: {name} -->\nold\n<!-- end of figures -->"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    names = ("all", "1", "7", "facts", "picture", "without avx512")
    (tmp_path / PAGE).write_text("before\n" + "\nbetween\n".join(map(_place, names)))
    return tmp_path


def _row(what: str, value: float) -> Row:
    return Row(what=what, against="it", unit="x", values=(value,), target=1.0)


def _shown(root: Path) -> list[str]:
    page = pages.refreshed(root, PAGE)
    assert page.count("<!-- end of figures -->") == 6
    assert page.startswith("before\n<!-- figures: all -->\n")
    return page.splitlines()


def test_without_results_nothing_is_measured(root: Path) -> None:
    lines = _shown(root)
    assert "old" not in lines
    assert lines.count("Not measured yet: `make bench-engine` writes the figures here.") == 5
    assert "| 7 | JSON schema | not measured |  |" in lines


def test_rows_stand_in_their_place_and_in_one_line_of_the_overview(root: Path) -> None:
    rows: list[AnyRow] = [
        _row("1. decode", 0.5),
        _row("1. alone", 1.5),
        NotMeasured(what="7. JSON", why="needs time"),
        _row("15. logprobs", 2.0),
    ]
    table.write(root / pages.RESULTS, "engine", rows, {"commit": "abc", "row 7": "measured later"})
    (root / pages.RESULTS / "engine.png").touch()
    lines = _shown(root)
    assert [line for line in lines if line in {row.line for row in rows}] == [
        row.line for row in rows[:3]
    ]
    assert "| 1 | One stream | 0.50 x (at most 1); 1.50 x (at most 1) | 1 of 2 |" in lines
    assert "| 15 | Logprobs | 2.00 x (at most 1) | no |" in lines
    assert "* commit: abc" in lines
    assert "* row 7: measured later" in lines
    assert any(line.endswith("(../benchmarks/results/engine.png)") for line in lines)


def test_another_machine_has_a_table_of_its_own(root: Path) -> None:
    table.write(root / pages.RESULTS, "engine", [_row("1. decode", 0.5)], {"commit": "abc"})
    other = root / pages.RESULTS / "without-avx512"
    table.write(other, "engine", [_row("1. decode", 2.0)], {"commit": "def"})
    lines = _shown(root)
    begin = lines.index("<!-- figures: without avx512 -->")
    assert "| 1 | One stream | 0.50 x (at most 1) | yes |" in lines[:begin]
    assert "| 1 | One stream | 2.00 x (at most 1) | no |" in lines[begin:]
    assert "* commit: def" in lines[begin:]


def test_figures_nobody_has_are_refused(root: Path) -> None:
    (root / PAGE).write_text(_place("16"))
    with pytest.raises(ValueError, match="a place for '16', which is none"):
        pages.refreshed(root, PAGE)
