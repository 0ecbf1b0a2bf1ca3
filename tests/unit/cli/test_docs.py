import re
import subprocess
import sys

import pytest
from support.tree import ROOT

from pyrunner.cli import main

PAGE = ROOT / "docs" / "cli.md"


def test_the_page_shows_what_help_prints():
    command = [sys.executable, str(ROOT / "scripts" / "update_cli_help.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_page_lists_every_exit_code():
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)}
    own = {0, main.FAILED, main.INTERRUPTED, main.BROKEN_PIPE, main.BUG}
    assert listed == own | set(main.EXIT_CODES.values())


@pytest.mark.parametrize("name", [*main.COMMANDS])
def test_the_page_has_a_section_for_every_command(name):
    assert f"\n### {name}\n" in PAGE.read_text()
