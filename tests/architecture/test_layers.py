"""Who may import whom: import-linter's contracts on paper, and what really gets loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.tree import ROOT


def _loaded_by(module: str, tmp_path: Path) -> set[str]:
    """Everything in `sys.modules` after importing one module in a new process."""
    program = f"import sys, {module}; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def test_import_contracts_are_all_kept():
    program = Path(sys.executable).parent / "lint-imports"
    # It reads sources: the tree's, also where an installed wheel is under test.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": ""}
    done = subprocess.run(
        [program, "--no-cache", "--no-logo"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        pytest.param(
            "pyrunner",
            {"numpy", "requests", "falcon", "click", "msgspec", "pyrunner._native"},
            id="import pyrunner is cheap",
        ),
        pytest.param(
            "pyrunner.server.app",
            {"numpy", "pyrunner._native", "pyrunner.engine", "pyrunner.worker", "pyrunner.chat"},
            id="the server holds no native code",
        ),
        pytest.param(
            "pyrunner.worker.process",
            {"numpy", "requests", "falcon", "waitress", "pyrunner.server", "pyrunner.models"},
            id="the worker holds no HTTP and no NumPy",
        ),
        pytest.param(
            "pyrunner.cli.main",
            {"numpy", "requests", "falcon", "waitress", "rich", "pyrunner._native"},
            id="the command line starts light",
        ),
    ],
)
def test_importing_a_module_loads_nothing_it_should_not(
    module: str, unwanted: set[str], tmp_path: Path
):
    assert _loaded_by(module, tmp_path) & unwanted == set()
