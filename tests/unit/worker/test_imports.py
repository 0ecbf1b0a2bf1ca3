"""What a worker process imports, which decides how soon it can load."""

import subprocess
import sys

import pytest

FORBIDDEN = {"falcon", "waitress", "requests", "urllib3", "numpy", "click", "rich", "http.client"}

BEFORE_LOADING = ("pyrunner.worker.__main__",)
WHILE_LOADING = ("pyrunner.engine.loading", "pyrunner.engine.loop", "pyrunner.chat.conversation")


def _imported(names: tuple[str, ...]) -> set[str]:
    program = f"import sys, {', '.join(names)}; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    return set(answer.stdout.split())


def test_worker_before_loading_imports_nothing_heavy():
    found = _imported(BEFORE_LOADING)
    assert found & (FORBIDDEN | {"pyrunner._native", "pyrunner.models", "pyrunner.server"}) == set()


@pytest.mark.native
def test_worker_with_its_engine_imports_neither_http_nor_numpy():
    assert _imported(BEFORE_LOADING + WHILE_LOADING) & FORBIDDEN == set()
