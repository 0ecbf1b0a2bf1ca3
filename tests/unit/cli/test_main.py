import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from support.command_line import environment

from pyrunner import errors
from pyrunner.cli import main

_HEAVY = [
    "requests",
    "rich",
    "prompt_toolkit",
    "falcon",
    "waitress",
    "msgspec",
    "http.client",
    "tempfile",
]


@pytest.mark.parametrize("leaf", errors.LEAVES.values(), ids=list(errors.LEAVES))
def test_every_error_has_an_exit_code_by_its_family(leaf):
    assert any(cls in main.EXIT_CODES for cls in leaf.__mro__)


def test_exit_codes_are_neither_success_nor_taken():
    taken = {0, main.INTERRUPTED, main.BROKEN_PIPE, main.BUG}
    assert not taken & set(main.EXIT_CODES.values())


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "model_not_found", 4),
        (500, "model_load_failed", 8),
        (503, "memory_budget_exceeded", 5),
        (404, "", 4),
        (401, "", 6),
        (409, "", 2),
        (500, "internal", 1),
        (0, "", 1),
    ],
)
def test_a_refusal_of_the_server_exits_as_the_error_itself_would(status, code, expected):
    error = errors.ServerAnswerError(status=status, message="x", error_code=code)
    assert main.exit_code(error) == expected


@pytest.mark.parametrize("name", list(main.COMMANDS))
def test_every_command_exists_and_says_what_the_list_says(name):
    command = main.cli.get_command(click.Context(main.cli), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(100) == main.COMMANDS[name][1]


@pytest.mark.parametrize("alias", list(main.ALIASES))
def test_every_alias_means_a_command(alias):
    assert main.ALIASES[alias] in main.COMMANDS
    assert main.cli.get_command(click.Context(main.cli), alias) is not None


def test_every_command_module_is_listed():
    listed = {module for module, _ in main.COMMANDS.values()}
    package = import_module("pyrunner.cli.commands")
    files = {path.stem for path in Path(package.__path__[0]).glob("*.py")} - {"__init__"}
    assert listed == files


def test_ls_imports_neither_engine_nor_server_nor_transport(tmp_path):
    unwanted = [
        *("requests", "rich", "prompt_toolkit", "falcon", "waitress", "numpy"),
        *("pyrunner._native", "pyrunner.registry.transport", "pyrunner.runtime", "pyrunner.server"),
    ]
    probe = (
        "import sys; from pyrunner.cli import main; main.run(['ls'], prog_name='pyrunner');"
        f"print([m for m in sys.modules if m in {unwanted!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0].startswith("MODEL NAME")
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_imports_no_command_and_nothing_heavy():
    probe = (
        "import sys; from pyrunner.cli import main; main.run(['--help'], prog_name='pyrunner');"
        f"print([m for m in sys.modules if m in {_HEAVY!r} or m.startswith('pyrunner.cli.com')])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main.run(arguments, prog_name="pyrunner")
    return code, capsys.readouterr()


def test_an_unknown_command_exits_with_2_and_a_hint(capsys):
    code, shown = _run(capsys, "frobnicate")
    assert code == 2
    assert "No such command 'frobnicate'" in shown.err
    assert "Traceback" not in shown.err


def test_a_missing_argument_exits_with_2_and_the_usage(capsys):
    code, shown = _run(capsys, "pull")
    assert code == 2
    assert "Usage: pyrunner pull [OPTIONS] MODEL" in shown.err


def test_no_command_shows_the_help(capsys):
    _, shown = _run(capsys)
    assert "Commands:" in shown.out + shown.err


@pytest.mark.parametrize(("typo", "meant"), [("rnu", "run"), ("unlaod", "unload"), ("lst", "list")])
def test_a_mistyped_command_is_told_the_nearest(capsys, typo, meant):
    code, shown = _run(capsys, typo)
    assert code == 2
    assert f"Did you mean '{meant}'" in shown.err
