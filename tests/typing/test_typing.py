"""The annotations say what a user's type checker should know."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.tree import ROOT

import pyrunner


@pytest.mark.slow
def test_a_strictly_typed_user_has_no_errors_and_mistakes_are_found(tmp_path: Path):
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\nwarn_unreachable = True\n")
    # mypy does not follow the import hook of an editable installation.
    package = Path(pyrunner.__file__).resolve().parent
    is_tree = package == ROOT / "pyrunner"
    environment = {**os.environ, **({"MYPYPATH": str(ROOT)} if is_tree else {})}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file", config),
            *("--cache-dir", tmp_path / "cache", ROOT / "tests/typing/library_use.py"),
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
