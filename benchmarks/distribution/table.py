"""What was measured: one row per promise, with smallest, median and largest value."""

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

_HEAD = "| what | against | median (min .. max) | target | met |\n|---|---|---|---|---|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One promise and the values that decide whether it holds."""

    what: str
    against: str
    unit: Literal["x", "MiB", "ms", "requests"]
    """``x`` is a ratio; its values are those of the pairs, not of their medians."""
    values: tuple[float, ...]
    target: float
    at: Literal["most", "least"] = "most"
    """On which side of the target the deciding value has to be."""
    decided_by: Literal["median", "max"] = "median"
    """``max`` where the promise is a limit, not a speed."""
    raw: dict[str, list[float]] = field(default_factory=dict)
    """What the values were computed from, in the order of the runs; keys end in their unit."""

    @property
    def is_met(self) -> bool:
        """Whether the promise held here."""
        decides = statistics.median if self.decided_by == "median" else max
        value = decides(self.values)
        return value <= self.target if self.at == "most" else value >= self.target

    @property
    def line(self) -> str:
        """As a line of a Markdown table."""
        middle, low, high = (
            self._shown(each)
            for each in (statistics.median(self.values), min(self.values), max(self.values))
        )
        return (
            f"| {self.what} | {self.against} | {middle} {self.unit} ({low} .. {high}) "
            f"| at {self.at} {self.target:g} {self.unit} | {'yes' if self.is_met else 'no'} |"
        )

    @property
    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "what": self.what,
            "against": self.against,
            "unit": self.unit,
            "min": min(self.values),
            "median": statistics.median(self.values),
            "max": max(self.values),
            "target": self.target,
            "at": self.at,
            "decided_by": self.decided_by,
            "is_met": self.is_met,
            "values": list(self.values),
            "raw": self.raw,
        }

    def _shown(self, value: float) -> str:
        return f"{value:.{ {'x': 2, 'MiB': 1, 'ms': 1, 'requests': 0}[self.unit] }f}"


def as_text(rows: list[Row], facts: dict[str, object]) -> str:
    """The table, below where and with what it was measured."""
    lines = [f"{key}: {value}" for key, value in facts.items()]
    return "\n".join([*lines, "", _HEAD, *(row.line for row in rows)]) + "\n"


def write(folder: Path, rows: list[Row], facts: dict[str, object]) -> None:
    """Put ``distribution.txt`` and ``distribution.json`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "distribution.txt").write_text(as_text(rows, facts))
    document = {"facts": facts, "rows": [row.document for row in rows]}
    (folder / "distribution.json").write_text(json.dumps(document, indent=2) + "\n")
