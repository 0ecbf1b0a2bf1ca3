"""How a pull or a push looks while it runs: bars, plain lines, or JSON lines."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from pyrunner import units
from pyrunner.cli import render
from pyrunner.cli.library import OnProgress, ProgressLine

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PLAIN_STEPS = 100
"""Without a terminal a line is written per this share of the whole, not per message."""
_WORDS = {
    "pull": ("Downloading", "Pull complete", "Downloaded"),
    "push": ("Uploading", "Push complete", "Uploaded"),
    "quantize": ("Quantizing", "Quantized", "Quantized"),
    "package": ("Packaging", "Package complete", "Packaged"),
}


@contextmanager
def shown(out: IO[str], *, is_json: bool = False) -> Iterator[OnProgress]:
    """Show a transfer on `out`: with bars on a terminal, line by line elsewhere.

    The last message ("Model pulled successfully") is written after the bars have stopped.
    """
    if is_json:
        yield lambda line: print(json.dumps(line), file=out, flush=True)
        return
    final: list[str] = []
    with _view(out) as on_bytes:
        yield lambda line: _sort(line, on_bytes, final, out)
    for message in final:
        render.show(f"{message}\n", out)


def _sort(line: ProgressLine, on_bytes: OnProgress, final: list[str], out: IO[str]) -> None:
    message = str(line.get("message") or "")
    if line["type"] == "success":
        final.append(message)
    elif line["type"] == "progress" and (line.get("layer") or {}).get("size"):
        on_bytes(line)
    elif message:
        render.show(f"{message}\n", out)


@contextmanager
def _view(out: IO[str]) -> Iterator[OnProgress]:
    if not out.isatty():
        yield PlainLines(lambda text: print(text, file=out, flush=True))
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.fields[layer]}: {task.description}"),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=out)) as progress:
        yield Bars(progress)


class Bars:
    """One bar per layer, and one for all. The thread that reads the progress calls this."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, line: ProgressLine) -> None:
        """Move the bar of the line's layer, and that of the sum when it has several parts."""
        layer, words = line["layer"], _words(line)
        name = render.printable(render.short_id(str(layer.get("id") or "")))
        self._move(name, layer["current"], layer["size"], words)
        total = line.get("total") or 0
        if total > layer["size"] and line.get("current"):
            self._move("Total", line["current"], total, words)

    def _move(self, name: str, current: int, size: int, words: tuple[str, str, str]) -> None:
        doing, done, _ = words
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(doing, total=size, layer=name)
        description = done if current >= size else doing
        self._progress.update(self._tasks[name], completed=current, description=description)


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
