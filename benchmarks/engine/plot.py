"""The table as a picture: every row's values, as shares of its target."""

import importlib.util
import statistics
from collections.abc import Sequence
from pathlib import Path

from measuring.programs import MeasurementError
from measuring.table import AnyRow, NotMeasured, Row

_ROW_INCHES = 0.34
_WIDTH_INCHES = 11.0
_MAX_LABEL = 95
_MET, _MISSED, _UNKNOWN = "#1a7f37", "#cf222e", "#8c959f"
_LEAST, _MOST = 0.02, 50.0
"""Shares of a target beyond these are drawn at the edge."""
_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def check_installed() -> None:
    """Look for matplotlib before hours are spent.

    Raises:
        MeasurementError: It is missing.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MeasurementError("Not installed: matplotlib. Try: pip install 'matplotlib>=3.8,<4'")


def shares(row: Row) -> tuple[float, ...]:
    """How much of the target each value is; up to 1 it is met, whichever side the target is.

    A target of 0 has no shares: 0 is drawn as met, everything else as far off.
    """
    if row.target == 0:
        return tuple(_MOST if value > 0 else _LEAST for value in row.values)
    values = [max(value, 1e-9) for value in row.values]
    found = [v / row.target if row.at == "most" else row.target / v for v in values]
    return tuple(min(max(each, _LEAST), _MOST) for each in found)


def write(path: Path, rows: Sequence[AnyRow]) -> None:
    """Draw one line per row: median, smallest and largest value."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # checked above
    from matplotlib.figure import Figure  # noqa: PLC0415  # as above

    figure = Figure(figsize=(_WIDTH_INCHES, 1.2 + _ROW_INCHES * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        if isinstance(row, NotMeasured):
            axes.text(1.0, place, "not measured", color=_UNKNOWN, ha="center", va="center")
            continue
        found, colour = shares(row), _MET if row.is_met else _MISSED
        axes.plot([min(found), max(found)], [place, place], color=colour, linewidth=2)
        axes.plot([statistics.median(found)], [place], "o", color=colour)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(_LEAST / 1.2, _MOST * 1.2)
    axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    axes.minorticks_off()
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("share of the target: left of 1 it is met; median, smallest and largest value")
    axes.grid(axis="x", alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _label(row: AnyRow) -> str:
    text = row.what.replace("`", "")
    return text if len(text) <= _MAX_LABEL else text[: _MAX_LABEL - 3] + "..."
