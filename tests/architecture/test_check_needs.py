"""scripts/check-needs: what ``make`` says on a machine that cannot build."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.tree import ROOT

APT = "apt install python3-dev python3-venv git make g++ curl"
PROGRAMS = ("git", "make", "g++", "curl")


def _check(path: str) -> "subprocess.CompletedProcess[str]":
    shell = shutil.which("sh") or "/bin/sh"
    return subprocess.run(
        [shell, str(ROOT / "scripts" / "check-needs")],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def _folder(parent: Path, programs: tuple[str, ...]) -> str:
    for name in programs:
        program = parent / name
        program.write_text("#!/bin/sh\nexit 1\n")
        program.chmod(0o700)
    return str(parent)


@pytest.mark.parametrize("lacking", PROGRAMS)
def test_a_missing_program_is_named_with_the_line_that_installs_it(tmp_path, lacking):
    present = tuple(name for name in PROGRAMS if name != lacking)
    done = _check(_folder(tmp_path, present))
    first, second = done.stderr.splitlines()
    assert (done.returncode, done.stdout, second) == (1, "", APT)
    assert first == (
        f"pyrunner cannot be built here. Missing: {lacking} "
        "python3 (3.11 or newer, with headers and venv). On Debian or Ubuntu:"
    )


def test_a_python_that_cannot_build_is_as_good_as_none(tmp_path):
    done = _check(_folder(tmp_path, (*PROGRAMS, "python3")))
    assert done.returncode == 1
    assert "Missing: python3 (3.11 or newer" in done.stderr


def test_a_machine_with_everything_gets_the_path_of_its_python():
    done = _check(os.environ["PATH"])
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).is_file()
