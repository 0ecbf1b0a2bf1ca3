import json
import re
import subprocess
import sys

import pytest

from pyrunner.cli import plugin


@pytest.mark.parametrize(
    ("arguments", "is_plugin", "own"),
    [
        (["model", "ls"], True, ["ls"]),
        (["--config", "/x", "-D", "model", "ls", "-q"], True, ["ls", "-q"]),
        (["--config=/x", "--tls", "-H", "tcp://h", "model", "rm", "model"], True, ["rm", "model"]),
        (["model"], True, []),
        (["ls", "--json"], False, ["ls", "--json"]),
        (["-c", "default", "ls"], False, ["ls"]),
        (["-l"], False, []),
        ([], True, []),
        (["--help"], False, ["--help"]),
    ],
)
def test_own_arguments_leave_docker_its_own(arguments, is_plugin, own):
    assert plugin.own_arguments(arguments, is_plugin=is_plugin) == own


def test_metadata_is_what_docker_reads():
    command = [sys.executable, "-m", "pyrunner.cli.plugin", "docker-cli-plugin-metadata"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.startswith('{\n     "SchemaVersion": "0.1.0",\n')
    assert set(json.loads(done.stdout)) == {
        "SchemaVersion",
        "Vendor",
        "Version",
        "ShortDescription",
    }


def test_version_is_one_that_compose_accepts():
    match = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", plugin.PLUGIN_VERSION)
    assert match
    assert tuple(map(int, match.groups())) >= (1, 0, 6)
