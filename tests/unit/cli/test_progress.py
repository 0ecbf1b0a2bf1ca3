import io
import json
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress

from pyrunner import errors
from pyrunner.cli import bars, progress
from pyrunner.cli.library import OnProgress
from pyrunner.errors import RegistryUnavailableError, ServerAnswerError

MB = 1_000_000


def _line(
    current: int,
    *,
    layer: str = "sha256:" + "a" * 64,
    size: int = 100 * MB,
    total: int = 100 * MB,
    mode: str = "pull",
) -> dict[str, Any]:
    about = {"id": layer, "size": size, "current": current}
    return {"type": "progress", "message": "x", "total": total, "layer": about, "mode": mode}


SUCCESS: dict[str, Any] = {
    "type": "success",
    "message": "Model pulled successfully",
    "layer": {"size": 0},
}


def _feed(on_progress: OnProgress, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        on_progress(line)


def _shown(lines: list[dict[str, Any]], *, is_json: bool = False) -> list[str]:
    out = io.StringIO()
    with progress.shown(out, is_json=is_json) as on_progress:
        _feed(on_progress, lines)
    return out.getvalue().splitlines()


def test_plain_lines_tell_the_sum_of_all_layers():
    second = "sha256:" + "b" * 64
    lines = [
        _line(10 * MB, size=40 * MB),
        _line(20 * MB, layer=second, size=60 * MB),
        _line(40 * MB, size=40 * MB),
        _line(60 * MB, layer=second, size=60 * MB),
        SUCCESS,
    ]
    assert _shown(lines) == [
        "Downloaded 10.00MB of 100.00MB",
        "Downloaded 30.00MB of 100.00MB",
        "Downloaded 60.00MB of 100.00MB",
        "Downloaded 100.00MB of 100.00MB",
        "Model pulled successfully",
    ]


def test_plain_lines_of_a_long_pull_are_about_a_hundred():
    lines = [_line(current, total=5000, size=5000) for current in range(1, 5001)]
    assert len(_shown(lines)) == 100


def test_plain_lines_of_a_push_say_uploaded():
    assert _shown([_line(100 * MB, mode="push")]) == ["Uploaded 100.00MB of 100.00MB"]


def test_warnings_are_shown_as_they_are():
    assert _shown([{"type": "warning", "message": "old model"}, SUCCESS])[0] == "old model"


def test_json_lines_are_the_api_lines():
    lines = [_line(1), SUCCESS]
    assert [json.loads(text) for text in _shown(lines, is_json=True)] == lines


def test_success_is_told_only_when_nothing_failed_after_it():
    out = io.StringIO()
    broken = {"message": "no type"}
    with pytest.raises(KeyError), progress.shown(out) as on_progress:
        _feed(on_progress, [SUCCESS, broken])
    assert out.getvalue() == ""


def _bars(lines: list[dict[str, Any]]) -> list[tuple[str, str, float, float | None]]:
    """What every bar shows after these lines: layer, words, done, whole."""
    from rich.console import Console
    from rich.progress import Progress

    shown = Progress(console=Console(file=io.StringIO()))
    _feed(bars.Bars(shown), lines)
    return [
        (each.fields["layer"], each.description, each.completed, each.total) for each in shown.tasks
    ]


@pytest.mark.parametrize(
    ("mode", "words"),
    [("pull", "Pull complete"), ("push", "Push complete"), ("?", "Pull complete")],
)
def test_bars_say_when_a_layer_is_complete(mode, words):
    assert _bars([_line(100 * MB, mode=mode)]) == [("a" * 12, words, 100 * MB, 100 * MB)]


def test_bars_show_no_control_characters_of_a_layers_name():
    assert _bars([_line(1, layer="sha256:\x1b[2Jx")])[0][0] == "[2Jx"


@pytest.mark.parametrize("name", ["standard input", "model-Q4_K_M.gguf"])
def test_bars_show_the_whole_name_of_a_file(name):
    assert _bars([_line(1, layer=name)])[0][0] == name


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_bars_are_drawn_and_the_last_message_follows_them():
    out = _Terminal()
    with progress.shown(out) as on_progress:
        _feed(on_progress, [_line(100 * MB), SUCCESS])
    drawn, _, last = out.getvalue().rstrip("\n").rpartition("\n")
    assert "Pull complete" in drawn
    assert last.endswith("Model pulled successfully")


def test_bars_are_one_per_layer_and_one_for_the_sum():
    second = "sha256:" + "b" * 64
    with Progress(console=Console(file=io.StringIO())) as shown:
        on_bytes = bars.Bars(shown)
        on_bytes(_line(10 * MB, size=40 * MB) | {"current": 10 * MB})
        on_bytes(_line(60 * MB, layer=second, size=60 * MB) | {"current": 70 * MB})
        moved = [(each.fields["layer"], each.completed, each.total) for each in shown.tasks]
    assert moved == [
        ("a" * 12, 10 * MB, 40 * MB),
        ("Total", 70 * MB, 100 * MB),
        ("b" * 12, 60 * MB, 60 * MB),
    ]


def test_single_layer_needs_no_bar_for_the_sum():
    with Progress(console=Console(file=io.StringIO())) as shown:
        bars.Bars(shown)(_line(10 * MB) | {"current": 10 * MB})
        assert len(shown.tasks) == 1


def _paces(*lines: dict[str, Any]) -> dict[str, str]:
    with Progress(console=Console(file=io.StringIO())) as shown:
        _feed(bars.Bars(shown), list(lines))
        return {each.fields["layer"]: each.fields["pace"] for each in shown.tasks}


def test_pace_is_what_the_transfer_says_and_stands_at_the_sum():
    told = {"bytes_per_s": 12_500_000, "left_s": 3723}
    pace = "12.50MB/s 1:02:03"
    assert _paces(_line(MB) | told) == {"a" * 12: pace}
    part = _line(MB, size=2 * MB) | {"current": MB} | told
    assert _paces(part) == {"a" * 12: "", "Total": pace}


def test_what_an_earlier_attempt_brought_says_nothing_about_the_pace():
    assert _paces(_line(0), _line(99 * MB)) == {"a" * 12: ""}


RESUME = ["Run the same command again; finished parts are kept."]
BROKE_OFF = RegistryUnavailableError(registry="reg.example", problem="the connection broke")


@pytest.mark.parametrize(
    ("lines", "error", "notes"),
    [
        ([], BROKE_OFF, []),
        ([_line(0)], BROKE_OFF, []),
        ([_line(1)], BROKE_OFF, RESUME),
        ([_line(1)], ServerAnswerError(status=200, message=BROKE_OFF.sentence), RESUME),
        ([_line(1)], ServerAnswerError(status=200, message="disk full"), []),
    ],
)
@pytest.mark.parametrize("is_quiet", [False, True])
def test_transfer_that_broke_off_can_be_continued_once_bytes_have_moved(
    lines, error, notes, is_quiet
):
    failure = errors.from_facts(error.code, error.facts)
    with pytest.raises(type(error)):
        _fail(lines, failure, is_quiet=is_quiet)
    assert getattr(failure, "__notes__", []) == notes


def _fail(lines: list[dict[str, Any]], failure: Exception, *, is_quiet: bool) -> None:
    with progress.shown(io.StringIO(), is_quiet=is_quiet) as on_progress:
        _feed(on_progress, lines)
        raise failure


def test_quiet_shows_nothing():
    out = io.StringIO()
    with progress.shown(out, is_quiet=True) as on_progress:
        _feed(on_progress, [_line(100 * MB), SUCCESS])
    assert out.getvalue() == ""


@pytest.mark.parametrize("size", [10, 0], ids=["known", "unknown"])
def test_bytes_are_shown_on_a_terminal_only(monkeypatch, size):
    for out, is_shown in ((_Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", out)
        with progress.bytes_shown("export", "org/x", size) as count:
            count(4)
            count(6)
        assert ("org/x" in out.getvalue()) == is_shown
