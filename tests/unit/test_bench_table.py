"""The table of ``make bench-distribution`` says of the right rows that their promise is met."""

from typing import Any

import pytest
from distribution.table import Row


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
    ],
)
def test_row_is_met_when_its_deciding_value_is_on_the_right_side(changed, is_met):
    assert _row(**changed).is_met is is_met


def test_line_shows_median_smallest_and_largest_of_the_values():
    line = _row(values=(3.0, 1.0, 1.5)).line
    assert line == "| pull | skopeo | 1.50 x (1.00 .. 3.00) | at most 1 x | no |"
