"""What every test gets: no leaks, no environment of the person who runs it, no silent skip."""

import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from support import leaks
from support.clock import FakeClock
from support.tree import ROOT

# Tests of an installed wheel set this; then the source tree must not be what is tested.
_IS_INSTALLED = os.environ.get("TESTED_PYRUNNER") == "installed"

LISTED_SKIPS = (
    "needs a GPU",
    "needs macOS",
    "needs Linux",  # madvise, mounts
    "needs large pages",  # of 2 MiB, which a kernel may keep from programs
    "needs AVX2, or AVX-512",  # a kernel of csrc/ggml_cpu
    "needs the right to mount",  # a disk that is really full; some containers forbid it
)
"""How the reason of a skip begins that may happen in CI. Any other skip fails there."""

_FOREIGN = (
    *("MODEL_RUNNER_HOST", "DOCKER_CONFIG", "DOCKER_HOST", "DMR_ORIGINS", "XDG_RUNTIME_DIR"),
    *("HF_ENDPOINT", "HF_HOME", "HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN"),
)
_KEPT = ("PYRUNNER_REFERENCE",)


def pytest_configure(config: pytest.Config) -> None:
    # Shells start background jobs with SIGINT ignored, and ours would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A developer's settings, models and credentials stay out, and nothing can write to their home.
    for name in list(os.environ):
        if (name.startswith("PYRUNNER_") and name not in _KEPT) or name in _FOREIGN:
            del os.environ[name]
    nowhere = tempfile.mkdtemp(prefix="pyr-")
    os.environ["PYRUNNER_HOME"] = nowhere
    config.add_cleanup(lambda: shutil.rmtree(nowhere, ignore_errors=True))
    if _IS_INSTALLED and _tested().is_relative_to(ROOT / "pyrunner"):
        pytest.exit(
            f"These tests were meant for an installed pyrunner, but would import {_tested()}.",
            returncode=4,
        )


def pytest_report_header() -> str:
    where = "installed" if not _tested().is_relative_to(ROOT / "pyrunner") else "source tree"
    return f"pyrunner: {where}, {_tested()}"


def _tested() -> Path:
    spec = importlib.util.find_spec("pyrunner")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_unlisted_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_unlisted_skip(report)
    return report


def _fail_unlisted_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not reason.removeprefix("Skipped: ").startswith(LISTED_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"A skip that tests/conftest.py does not list: {reason}"


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread, an open file or a child process of its own behind.

    What fixtures of a module or the session started was there before. A test that makes such a
    shared thing grow (a kept connection) says so: ``@pytest.mark.keeps_open("what")``.
    """
    before = leaks.snapshot()
    yield
    if request.node.get_closest_marker("keeps_open") is None:
        found = leaks.leaked_since(before)
        assert not found, f"left behind: {', '.join(found)}"


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test moves."""
    return FakeClock()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty ``PYRUNNER_HOME``, with a path short enough for Unix sockets below it."""
    with tempfile.TemporaryDirectory(prefix="pyr-") as name:
        monkeypatch.setenv("PYRUNNER_HOME", name)
        yield Path(name)
