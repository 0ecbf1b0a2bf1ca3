"""One record is one line, in UTC, whatever is in it."""

import logging
from collections.abc import Callable, Iterator

import pytest

from pyrunner import log


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What the loggers wrote to stderr so far; they are put back afterwards."""
    root = logging.getLogger("pyrunner")
    kept = (list(root.handlers), root.level, root.propagate)
    yield lambda: capsys.readouterr().err
    root.handlers[:], root.level, root.propagate = kept[0], kept[1], kept[2]


@pytest.mark.parametrize(
    "text",
    [
        "a\nb",
        "a\r\nb",
        "a\x1b[31mb",
        "a\x00b",
        "a\x9bb",
        "a\x85b",
        "a\u2028b",
        "a\u202eb",
        "a\x7fb",
    ],
    ids=ascii,
)
def test_control_characters_of_a_client_are_escaped(written: Callable[[], str], text: str):
    log.set_up("info")
    log.get("server").info("path %s", text)
    line = written()
    assert line.count("\n") == 1
    assert text not in line
    assert "a\\" in line
    assert line.isascii()


def test_tabs_and_letters_of_the_world_stay(written: Callable[[], str]):
    log.set_up("info")
    log.get("server").info("gr\u00fc\u00dfe\t\u4f60")
    assert written().endswith("gr\u00fc\u00dfe\t\u4f60\n")


def test_a_forged_line_in_a_message_with_a_traceback_stays_inside_its_record(
    written: Callable[[], str],
):
    forged = "x\n2026-01-01T00:00:00.000Z INFO pyrunner.server: all is well"
    log.set_up("info")
    try:
        int(forged)
    except ValueError:
        log.get("server").exception("failed: %s", forged)
    first, *others = written().splitlines()
    assert "failed: x\\x0a2026" in first
    assert others[0] == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") for line in others)


def test_times_are_utc(written: Callable[[], str]):
    log.set_up("info")
    record = logging.LogRecord("pyrunner.server", logging.INFO, "", 0, "then", (), None)
    record.created, record.msecs = 86_400.0, 7.0
    logging.getLogger("pyrunner").handle(record)
    assert written().startswith("1970-01-02T00:00:00.007Z INFO pyrunner.server: then")


def test_level_decides_and_setting_up_twice_writes_once(written: Callable[[], str]):
    log.set_up("debug")
    log.set_up("warning")
    log.get("engine").info("quiet")
    log.get("engine").warning("loud")
    text = written()
    assert text.count("loud") == 1
    assert "quiet" not in text


def test_an_unknown_logger_is_a_bug():
    with pytest.raises(AssertionError):
        log.get("servre")
