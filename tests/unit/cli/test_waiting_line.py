"""The line that says what a command waits for."""

import io
import threading

import pytest

from pyrunner.cli import waiting_line


class _Terminal(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.is_written = threading.Event()

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.is_written.set()


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(waiting_line, "DELAY_S", 0.0)


@pytest.mark.usefixtures("at_once")
def test_a_long_wait_is_shown_and_erased_once():
    terminal = _Terminal()
    with waiting_line.shown("Waiting for x\x1b ...", terminal) as end:
        assert terminal.is_written.wait(10)
        assert terminal.getvalue() == "Waiting for x ..."
        end()
        terminal.write("answer")
    assert terminal.getvalue() == "Waiting for x ...\r\x1b[Kanswer"


@pytest.mark.usefixtures("at_once")
def test_a_wait_that_fails_is_erased():
    terminal = _Terminal()
    with pytest.raises(KeyboardInterrupt):
        _interrupted(terminal)
    assert terminal.getvalue() == "Waiting\r\x1b[K"


def _interrupted(terminal: _Terminal) -> None:
    with waiting_line.shown("Waiting", terminal):
        assert terminal.is_written.wait(10)
        raise KeyboardInterrupt


def test_a_short_wait_shows_nothing():
    terminal = _Terminal()
    with waiting_line.shown("Waiting", terminal):
        pass
    assert terminal.getvalue() == ""


@pytest.mark.usefixtures("at_once")
def test_nothing_is_shown_where_no_terminal_is():
    out = io.StringIO()
    with waiting_line.shown("Waiting", out):
        assert threading.active_count() == 1
    assert out.getvalue() == ""
