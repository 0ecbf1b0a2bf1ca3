"""The stub of the compiled module describes what was compiled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.tree import ROOT

import pyrunner

# What no stub of a Cython class can say: where __init__ really happens, and how it is laid out.
ALLOWED = r"""
pyrunner\._native\._core\.[A-Z]\w*
pyrunner\._native\._core\.[A-Z]\w*\.__init__
pyrunner\._native\._core\.(.*\.)?__(reduce|setstate)_cython__
pyrunner\._native\._core\.__test__
"""


@pytest.mark.native
@pytest.mark.slow
def test_the_stub_says_what_the_compiled_module_has(tmp_path: Path):
    allowed = tmp_path / "allowed"
    allowed.write_text(ALLOWED)
    is_tree = Path(pyrunner.__file__).resolve().parent == ROOT / "pyrunner"
    environment = {**os.environ, **({"MYPYPATH": str(ROOT)} if is_tree else {})}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy.stubtest", "pyrunner._native._core", "--concise"),
            *("--allowlist", allowed, "--ignore-unused-allowlist"),
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
