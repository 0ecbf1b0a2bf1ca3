"""Progress drawn: bars on a terminal, sums in lines elsewhere."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from pyrunner import units
from pyrunner.cli import render
from pyrunner.cli.library import OnProgress, ProgressLine

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from pyrunner.models.rate import Rate

Say = Callable[[str], object]
View = tuple[OnProgress, Say]
"""What takes lines about bytes, and what writes a message among them."""

_PLAIN_STEPS = 100
"""Without a terminal a line is written per this share of the whole, not per message."""
_WORDS = {
    "pull": ("Downloading", "Pull complete", "Downloaded"),
    "push": ("Uploading", "Push complete", "Uploaded"),
    "quantize": ("Quantizing", "Quantized", "Quantized"),
    "package": ("Packaging", "Package complete", "Packaged"),
    "export": ("Writing", "Written", "Written"),
    "load": ("Reading", "Read", "Read"),
}
_SUM = "Total"
_MAX_NAME = 30


@contextmanager
def on_terminal(out: IO[str]) -> Iterator[View]:
    """Bars at the bottom of a terminal, and messages above them."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.fields[layer]}: {task.description}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    console = Console(file=out)
    with Progress(*columns, console=console) as progress:
        yield (
            Bars(progress),
            lambda text: console.print(
                render.printable(text), markup=False, highlight=False, soft_wrap=True
            ),
        )


class Bars:
    """One bar per layer, and one for all. The thread that reads the progress calls this."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._rates: dict[str, Rate] = {}

    def __call__(self, line: ProgressLine) -> None:
        """Move the bar of the line's layer, and that of the sum when it has several parts."""
        layer = line["layer"]
        name = _name(str(layer.get("id") or ""))
        total = line.get("total") or 0
        has_sum = total > layer["size"] and bool(line.get("current"))
        pace = "" if has_sum else self._pace(line, name, layer["current"], layer["size"])
        self._move(name, layer["current"], layer["size"], _words(line), pace)
        if has_sum:
            pace = self._pace(line, _SUM, line["current"], total)
            self._move(_SUM, line["current"], total, _words(line), pace)

    def _pace(self, line: ProgressLine, name: str, current: int, size: int) -> str:
        """How fast all of it is: what a transfer says itself, or what is counted here."""
        told = line.get("bytes_per_s") or 0
        if told:
            return _in_words(told, line.get("left_s") or 0)
        if name == _SUM and line.get("mode") in {"pull", "push"}:
            return ""  # it grows at once by what an earlier attempt brought
        from pyrunner.models.rate import Rate

        rate = self._rates.setdefault(name, Rate()).at(current)
        return _in_words(rate, (size - current) / rate if rate else 0)

    def _move(
        self, name: str, current: int, size: int, words: tuple[str, str, str], pace: str
    ) -> None:
        doing, done, _ = words
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(
                doing, total=size or None, layer=name, pace=pace
            )
        description = done if 0 < size <= current else doing
        self._progress.update(
            self._tasks[name], completed=current, description=description, pace=pace
        )


def _name(layer_id: str) -> str:
    """What stands before a bar: of a digest the short form, of a file its name."""
    is_digest = layer_id.startswith("sha256:")
    return render.printable(render.short_id(layer_id) if is_digest else layer_id)[:_MAX_NAME]


def _in_words(bytes_per_s: float, left_s: float) -> str:
    if bytes_per_s <= 0:
        return ""
    rate = f"{units.format_bytes_decimal(int(bytes_per_s))}/s"
    minutes, seconds = divmod(math.ceil(left_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{rate} {hours}:{minutes:02}:{seconds:02}" if left_s > 0 else rate


class PlainLines:
    """``Downloaded 12.94MB of 270.60MB``, at most `_PLAIN_STEPS` times."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._done: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._written = 0

    def __call__(self, line: ProgressLine) -> None:
        """Count the line's bytes and write the sum when it grew enough."""
        layer = line["layer"]
        self._done[layer.get("id", "")] = layer["current"]
        self._sizes[layer.get("id", "")] = layer["size"]
        total = max(line.get("total") or 0, sum(self._sizes.values()))
        done = sum(self._done.values())
        if done - self._written < total / _PLAIN_STEPS and done < total:
            return
        if done > self._written:
            self._written = done
            both = units.format_bytes_decimal(done), units.format_bytes_decimal(total)
            self._write(f"{_words(line)[2]} {both[0]} of {both[1]}")


def _words(line: ProgressLine) -> tuple[str, str, str]:
    return _WORDS.get(str(line.get("mode")), _WORDS["pull"])
