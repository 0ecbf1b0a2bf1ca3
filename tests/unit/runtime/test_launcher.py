"""runtime.launcher: how a worker is started; the processes themselves are in tests/e2e."""

import os
import sys
from pathlib import Path

import pytest

from pyrunner.runtime.launcher import _environment, worker_command


def test_worker_command_is_this_python_and_the_worker_by_name():
    python, *rest = worker_command()
    assert python == sys.executable
    assert rest[-2:] == ["-m", "pyrunner.worker"]


def test_worker_command_inside_another_program_takes_the_python_of_the_prefix(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    assert worker_command()[0] == str(Path(sys.prefix, "bin", "python3"))


@pytest.mark.parametrize("given", ["tests", f"tests{os.pathsep}", f"{os.pathsep}tests"])
def test_environment_relative_import_paths_survive_the_change_of_folder(monkeypatch, given):
    monkeypatch.setenv("PYTHONPATH", given)
    entries = _environment()["PYTHONPATH"].split(os.pathsep)
    assert entries[0] == str(Path("tests").absolute())
    assert all(Path(each).is_absolute() for each in entries)
