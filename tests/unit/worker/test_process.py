"""worker.process: what a worker may take to end, which others rely on."""

from pyrunner.wire.launch import EXIT_S, MAX_SAVE_S
from pyrunner.worker.process import STOP_S


def test_a_worker_that_saves_ends_before_a_server_kills_it() -> None:
    # The engine thread, which also saves, and then the prompt thread.
    assert STOP_S + MAX_SAVE_S + STOP_S < EXIT_S
