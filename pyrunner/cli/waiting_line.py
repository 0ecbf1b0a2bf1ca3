"""One line on a terminal that says what a command waits for, gone when the wait is over."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from pyrunner.cli import render

DELAY_S = 0.7
"""Shorter waits show nothing."""
_ERASE = "\r\x1b[K"


@contextmanager
def shown(text: str, out: IO[str]) -> Iterator[Callable[[], None]]:
    """Show `text` on `out` while something takes its time; nothing where `out` is no terminal.

    A thread of its own writes the line once, after `DELAY_S`.

    Returns:
        Ends the line at once; call it before anything else is written. Leaving the block does too.
    """
    if not out.isatty():
        yield lambda: None
        return
    line = _Line(text, out)
    line.timer.start()
    try:
        yield line.end
    finally:
        line.end()


class _Line:
    def __init__(self, text: str, out: IO[str]) -> None:
        self.timer = threading.Timer(DELAY_S, self._show)
        self.timer.daemon = True
        self._text = text
        self._out = out
        self._lock = threading.Lock()
        self._is_over = False
        self._is_shown = False

    def end(self) -> None:
        self.timer.cancel()
        with self._lock:
            self._is_over = True
            if self._is_shown:
                self._is_shown = False
                self._write(_ERASE)

    def _show(self) -> None:
        with self._lock:
            if not self._is_over:
                self._is_shown = True
                self._write(render.printable(self._text))

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
