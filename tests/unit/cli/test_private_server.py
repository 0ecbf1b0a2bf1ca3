"""The server for one command, when it does not start."""

import sys

import pytest

from pyrunner import config
from pyrunner.cli import private_server
from pyrunner.errors import ServerAnswerError


def test_a_server_that_does_not_start_is_one_sentence_and_the_path_of_its_log(
    tmp_path, monkeypatch
):
    broken = tmp_path / "python"
    says = "echo 'Traceback (most recent call last):' >&2\necho $GLIBC_TUNABLES >&2\n"
    broken.write_text(f"#!/bin/sh\n{says}exit 1\n")
    broken.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(broken))
    settings = config.load(environment={"PYRUNNER_HOME": str(tmp_path)})
    with (
        pytest.raises(ServerAnswerError) as caught,
        private_server.running(settings, "ai/x"),
    ):
        pass
    kept = tmp_path / "run" / "failed-start.log"
    assert caught.value.message == (f"The server for this command did not start; {kept} says why.")
    assert "Traceback" in kept.read_text()
    assert "glibc.malloc.tcache_count=0" in kept.read_text()  # it need not start itself again
    assert list(kept.parent.iterdir()) == [kept]
