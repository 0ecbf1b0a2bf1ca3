"""``GET /logs``."""

import pytest
from falcon import testing

from pyrunner.server.logfile import log_path

SERVICE = """\
2026-07-22T10:00:00.000Z INFO pyrunner.server: one
2026-07-22T10:00:02.000Z ERROR pyrunner.server: three
  Traceback
2026-07-22T10:00:04.000Z INFO pyrunner.server: five
"""
WORKER = """\
2026-07-22T10:00:01.000Z INFO pyrunner.worker: two
2026-07-22T10:00:02.000Z INFO pyrunner.worker: four
"""
WORDS = ["one", "two", "three", "Traceback", "four", "five"]


@pytest.fixture
def logged(api, tmp_path):
    path = log_path(api.settings)
    path.parent.mkdir()
    path.write_text(SERVICE)
    worker = tmp_path / "worker.log"
    worker.write_text(WORKER)
    api.runtime.logs = [worker, tmp_path / "gone.log"]
    return api


def _words(result: testing.Result) -> list[str]:
    return [line.split()[-1] for line in result.text.splitlines()]


def test_lines_of_both_are_merged_by_time(logged):
    result = logged.get("/logs")
    assert result.headers["content-type"] == "text/plain; charset=utf-8"
    assert _words(result) == WORDS
    assert logged.application.dependencies.admission.n_active == 0


@pytest.mark.parametrize("value", ["true", "1", "T"])
def test_engines_can_be_left_out(logged, value):
    result = logged.get(f"/logs?no-engines={value}")
    assert _words(result) == ["one", "three", "Traceback", "five"]


@pytest.mark.parametrize("name", ["follow", "no-engines"])
@pytest.mark.parametrize("value", ["yes", "2", ""])
def test_switch_that_is_no_boolean_is_400(logged, name, value):
    result = logged.get(f"/logs?{name}={value}")
    expected = f'invalid {name} parameter: "{value}" is not a valid boolean\n'
    assert (result.status_code, result.text) == (400, expected)


def test_without_a_log_file_is_404(api):
    result = api.get("/logs")
    assert (result.status_code, result.text) == (404, "service log not found\n")
