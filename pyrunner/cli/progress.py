"""How a pull or a push looks while it runs: bars, plain lines, or JSON lines."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO

import click

from pyrunner.cli import bars, render
from pyrunner.cli.library import OnProgress, ProgressLine
from pyrunner.errors import PyrunnerError, RegistryUnavailableError, ServerAnswerError

Show = Callable[[], AbstractContextManager[OnProgress]]
"""Makes a place to show one step of a command in; see `shown`."""

_RESUME = "Run the same command again; finished parts are kept."


@contextmanager
def shown(out: IO[str], *, is_json: bool = False, is_quiet: bool = False) -> Iterator[OnProgress]:
    """Show a transfer on `out`: with bars on a terminal, line by line elsewhere.

    The last message ("Model pulled successfully") is written after the bars have stopped. An
    error of a transfer that can be continued gets a note that says so.
    """
    has_moved = False

    def tell(line: ProgressLine) -> None:
        nonlocal has_moved
        has_moved = has_moved or bool((line.get("layer") or {}).get("current"))
        on_progress(line)

    try:
        with _shown(out, is_json=is_json, is_quiet=is_quiet) as on_progress:
            yield tell
    except PyrunnerError as error:
        if has_moved and _can_resume(error):
            error.add_note(_RESUME)
        raise


@contextmanager
def bytes_shown(mode: str, name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show on standard error how many bytes went through, if it is a terminal.

    Args:
        mode: ``export`` or ``load``.
        name: Of the file.
        size_bytes: Of the whole; 0 when nobody knows.

    Returns:
        To be called with the size of every piece.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    done = 0
    with bars.on_terminal(sys.stderr) as (on_bytes, _):

        def count(n_bytes: int) -> None:
            nonlocal done
            done += n_bytes
            on_bytes(line(mode, name, done, size_bytes))

        yield count


@contextmanager
def failing(mode: str, *, is_json: bool) -> Iterator[None]:
    """Tell an error on standard output too, as the last of the JSON lines, and let it through."""
    try:
        yield
    except PyrunnerError as error:
        if is_json:
            print(json.dumps(said("error", f"Error: {error.sentence}", mode)), flush=True)
        raise


def check_style(*, is_json: bool, is_quiet: bool) -> None:
    """Refuse what contradicts itself.

    Raises:
        click.UsageError: Both.
    """
    if is_json and is_quiet:
        raise click.UsageError("--quiet and --json cannot be used together")


def line(mode: str, name: str, done: int, size_bytes: int) -> ProgressLine:
    """One line of progress of something that has one part."""
    layer = {"id": name, "size": size_bytes, "current": done}
    return {"type": "progress", "message": "", "total": size_bytes, "layer": layer, "mode": mode}


def said(kind: str, message: str, mode: str) -> ProgressLine:
    """One line of the API's progress stream that is about no layer."""
    layer = {"size": 0, "current": 0}
    return {"type": kind, "message": message, "total": 0, "layer": layer, "mode": mode}


def _can_resume(error: PyrunnerError) -> bool:
    # A server's late errors have no code, only the sentence.
    is_told = isinstance(error, ServerAnswerError) and RegistryUnavailableError.WHAT in str(error)
    return is_told or isinstance(error, RegistryUnavailableError)


@contextmanager
def _shown(out: IO[str], *, is_json: bool, is_quiet: bool) -> Iterator[OnProgress]:
    if is_quiet:
        yield lambda _: None
        return
    if is_json:
        yield lambda line: print(json.dumps(line), file=out, flush=True)
        return
    final: list[str] = []
    with _view(out) as (on_bytes, say):
        yield lambda line: _sort(line, on_bytes, final, say)
    for message in final:
        render.show(f"{message}\n", out)


def _sort(line: ProgressLine, on_bytes: OnProgress, final: list[str], say: bars.Say) -> None:
    message = str(line.get("message") or "")
    if line["type"] == "success":
        final.append(message)
    elif line["type"] == "progress" and (line.get("layer") or {}).get("size"):
        on_bytes(line)
    elif message:
        say(message)


@contextmanager
def _view(out: IO[str]) -> Iterator[bars.View]:
    if out.isatty():
        with bars.on_terminal(out) as view:
            yield view
        return

    def say(text: str) -> None:
        print(text, file=out, flush=True)

    yield bars.PlainLines(say), say
