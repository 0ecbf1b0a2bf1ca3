"""The tables of the benchmarks say of the right rows that their promise is met."""

import json
import math
from typing import Any

import pytest
from measuring.deciding import deciding, lower_end, quantile
from measuring.pairs import take_turns
from measuring.table import AnyRow, NotMeasured, Row, as_text, in_one_line, read, write


def _row(**changed: Any) -> Row:
    plain: dict[str, Any] = {"what": "pull", "against": "skopeo", "unit": "x", "target": 1.0}
    return Row(**(plain | changed))


@pytest.mark.parametrize(
    ("changed", "is_met"),
    [
        ({"values": (0.5, 1.0, 9.0)}, True),
        ({"values": (0.5, 1.1, 1.2)}, False),
        ({"values": (0.5, 1.0, 9.0), "at": "least"}, True),
        ({"values": (0.5, 0.9, 9.0), "at": "least"}, False),
        ({"values": (0.5, 1.0, 9.0), "decided_by": "max"}, False),
        ({"values": (0.5, 0.9, 1.0), "decided_by": "max"}, True),
        ({"values": (0.9, 1.0, 9.0), "decided_by": "min", "at": "least"}, False),
        ({"values": (1.0, 1.0, 9.0), "decided_by": "min", "at": "least"}, True),
        ({"values": (0.5,) * 50 + (2.0,), "decided_by": "p99"}, False),
        ({"values": (0.5,) * 200 + (2.0,), "decided_by": "p99"}, True),
        ({"values": (1.0, 1.1, 1.2), "decided_by": "low95", "at": "least"}, False),
        ({"values": (1.1, 1.11, 1.12), "decided_by": "low95", "at": "least"}, True),
    ],
)
def test_row_is_met_when_its_deciding_value_is_on_the_right_side(changed, is_met):
    assert _row(**changed).is_met is is_met


def test_line_shows_median_smallest_and_largest_of_the_values():
    line = _row(values=(3.0, 1.0, 1.5)).line
    assert line == "| pull | skopeo | 1.50 x (1.00 .. 3.00) | at most 1 x | no |"


def test_line_shows_the_end_of_the_interval_that_decides():
    line = _row(values=(1.0, 1.1, 1.2), decided_by="low95", at="least").line
    assert line.endswith("| at least 1 x; lower end of the 95 % interval is 0.85 | no |")


def test_lower_end_is_that_of_students_t():
    # 1.1 - 4.303 * 0.1 / sqrt(3), as statistical tables have it
    assert lower_end((1.0, 1.1, 1.2)) == pytest.approx(0.8516, abs=1e-4)


def test_one_value_has_no_interval():
    row = _row(values=(2.0,), decided_by="low95", at="least")
    assert lower_end(row.values) == -math.inf
    assert not row.is_met
    assert row.document["decides"] is None


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 2.5), (0.99, 3.97), (1.0, 4.0)])
def test_quantile_lies_between_its_neighbours(share, value):
    assert quantile((4.0, 1.0, 3.0, 2.0), share) == pytest.approx(value)


def test_deciding_value_of_one_is_itself():
    for way in ("median", "min", "max", "p99"):
        assert deciding((2.0,), way) == 2.0


def test_results_have_the_name_that_is_asked_for_and_keep_rows_that_are_not_measured(tmp_path):
    rows: list[AnyRow] = [_row(values=(0.5,)), NotMeasured(what="7. JSON", why="needs grammars")]
    write(tmp_path, "engine", rows, {"pairs": 1})
    assert (tmp_path / "engine.txt").read_text() == as_text(rows, {"pairs": 1})
    document = json.loads((tmp_path / "engine.json").read_text())
    assert document["rows"][1] == {"what": "7. JSON", "not_measured": "needs grammars"}
    assert "| 7. JSON | | not measured: needs grammars | | |\n" in as_text(rows, {})


def test_turns_are_taken_in_an_order_that_changes_every_round():
    order: list[str] = []

    def run(name: str, i_round: int) -> float:
        order.append(f"{name}{i_round}")
        return float(i_round)

    seen: list[dict[str, float]] = []
    runs = {name: (lambda i, name=name: run(name, i)) for name in "abc"}
    results = take_turns(runs, 2, seen.append)
    assert order == ["a0", "b0", "c0", "c1", "b1", "a1"]
    assert results == {name: [0.0, 1.0] for name in "abc"}
    assert seen == [dict.fromkeys("abc", 0.0), dict.fromkeys("abc", 1.0)]


def test_what_was_written_is_read_back(tmp_path):
    rows: list[AnyRow] = [
        _row(values=(0.5, 1.5), at="least", decided_by="low95", raw={"own_s": [1.0]}),
        NotMeasured(what="push", why="no network"),
    ]
    write(tmp_path, "some", rows, {"commit": "a"})
    found, facts = read(tmp_path / "some.json")
    assert [row.line for row in found] == [row.line for row in rows]
    assert [row.document for row in found] == [row.document for row in rows]
    assert facts == {"commit": "a"}


def test_reason_fits_a_cell_of_the_table():
    assert in_one_line("no |\n  room") == "no / room"
    assert len(in_one_line("a" * 5000)) == 300


def test_who_does_not_go_on_has_the_turns_until_then():
    runs = {name: lambda i_round: i_round for name in "ab"}
    results = take_turns(runs, 3, lambda _: None, lambda done: "ab" if len(done["b"]) < 2 else "a")
    assert results == {"a": [0, 1, 2], "b": [0, 1]}
