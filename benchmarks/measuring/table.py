"""What was measured: one row per promise, with smallest, median and largest value."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from measuring.deciding import DecidedBy, deciding

HEAD = "| what | against | median (min .. max) | target | met |\n|---|---|---|---|---|"

_MAX_REASON = 300
"""Characters of a reason that the table has."""

_DIGITS = {"x": 2, "MiB": 1, "MB": 1, "ms": 1, "requests": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One promise and the values that decide whether it holds."""

    what: str
    against: str
    unit: Literal["x", "MiB", "MB", "ms", "requests"]
    """``x`` is a ratio; its values are those of the pairs, not of their medians."""
    values: tuple[float, ...]
    target: float
    at: Literal["most", "least"] = "most"
    """On which side of the target the deciding value has to be."""
    decided_by: DecidedBy = "median"
    raw: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """What the values were computed from, in the order of the runs; keys end in their unit."""

    @property
    def is_met(self) -> bool:
        """Whether the promise held here."""
        value = deciding(self.values, self.decided_by)
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
            f"| {self._promise} | {'yes' if self.is_met else 'no'} |"
        )

    @property
    def short(self) -> str:
        """The median and the target, nothing else."""
        middle = self._shown(statistics.median(self.values))
        return f"{middle} {self.unit} (at {self.at} {self.target:.4g})"

    @property
    def document(self) -> dict[str, object]:
        """As JSON."""
        value = deciding(self.values, self.decided_by)
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
            "decides": value if math.isfinite(value) else None,
            "is_met": self.is_met,
            "values": list(self.values),
            "raw": {name: list(values) for name, values in self.raw.items()},
        }

    @property
    def _promise(self) -> str:
        promise = f"at {self.at} {self.target:.4g} {self.unit}"
        if self.decided_by not in {"low95", "p99"}:
            return promise
        value = deciding(self.values, self.decided_by)
        shown = self._shown(value) if math.isfinite(value) else "unknown"
        name = "99th percentile" if self.decided_by == "p99" else "lower end of the 95 % interval"
        return f"{promise}; {name} is {shown}"

    def _shown(self, value: float) -> str:
        return f"{value:.{_DIGITS[self.unit]}f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMeasured:
    """A promise that nothing can be said about yet."""

    what: str
    why: str
    """What has to be there first, or what went wrong."""

    @property
    def line(self) -> str:
        """As a line of a Markdown table."""
        return f"| {self.what} | | not measured: {self.why} | | |"

    @property
    def document(self) -> dict[str, object]:
        """As JSON."""
        return {"what": self.what, "not_measured": self.why}


AnyRow = Row | NotMeasured


def in_one_line(text: str) -> str:
    """The beginning of a text, without what separates columns."""
    return " ".join(text.replace("|", "/").split())[:_MAX_REASON]


def as_text(rows: Sequence[AnyRow], facts: Mapping[str, object]) -> str:
    """The table, below where and with what it was measured."""
    lines = [f"{key}: {value}" for key, value in facts.items()]
    return "\n".join([*lines, "", HEAD, *(row.line for row in rows)]) + "\n"


def write(folder: Path, name: str, rows: Sequence[AnyRow], facts: Mapping[str, object]) -> None:
    """Put ``NAME.txt`` and ``NAME.json`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(as_text(rows, facts))
    document = {"facts": dict(facts), "rows": [row.document for row in rows]}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def read(path: Path) -> tuple[list[AnyRow], dict[str, object]]:
    """What `write` wrote as JSON: rows and facts."""
    document = json.loads(path.read_text())
    return [_row(each) for each in document["rows"]], document["facts"]


def _row(document: Mapping[str, Any]) -> AnyRow:
    if "not_measured" in document:
        return NotMeasured(what=document["what"], why=document["not_measured"])
    return Row(
        what=document["what"],
        against=document["against"],
        unit=document["unit"],
        values=tuple(document["values"]),
        target=document["target"],
        at=document["at"],
        decided_by=document["decided_by"],
        raw=document["raw"],
    )
