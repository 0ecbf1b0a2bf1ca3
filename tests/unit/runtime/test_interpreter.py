"""runtime.interpreter: our own programs as processes; the processes are in tests/e2e."""

import os
import sys
from pathlib import Path

import pytest

from pyrunner.runtime.interpreter import child_environment, module_command


def test_module_command_is_this_python_and_the_module_by_name():
    python, *rest = module_command("pyrunner.worker")
    assert python == sys.executable
    assert rest[-2:] == ["-m", "pyrunner.worker"]


def test_module_command_inside_another_program_takes_the_python_of_the_prefix(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    assert module_command("pyrunner.worker")[0] == str(Path(sys.prefix, "bin", "python3"))


@pytest.mark.parametrize("given", ["tests", f"tests{os.pathsep}", f"{os.pathsep}tests"])
def test_environment_relative_import_paths_survive_the_change_of_folder(monkeypatch, given):
    monkeypatch.setenv("PYTHONPATH", given)
    entries = child_environment()["PYTHONPATH"].split(os.pathsep)
    assert entries[0] == str(Path("tests").absolute())
    assert all(Path(each).is_absolute() for each in entries)
