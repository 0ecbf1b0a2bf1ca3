"""runtime.supervisor: keeper connections."""

import threading

import pytest
from support.scripted_peer import HANG_UP, WAIT, WELCOME, ScriptedPeer
from support.waits import until

from pyrunner.errors import ShuttingDownError
from pyrunner.runtime.ledger import Entry
from pyrunner.runtime.supervisor import Supervisor
from pyrunner.wire.frames import Hello


def _go_on() -> None:
    """Nobody gives up."""


@pytest.fixture
def ended():
    return []


@pytest.fixture
def supervisor(ended):
    made = Supervisor(ended.append)
    yield made
    made.close()


def test_keep_says_hello_as_a_keeper_and_nothing_more(tmp_path, supervisor):
    with ScriptedPeer(tmp_path, WELCOME, WAIT) as peer:
        assert supervisor.keep(peer.entry, _go_on)
        assert supervisor.keeps(peer.entry)
        supervisor.close()
    (hello,) = peer.heard
    assert isinstance(hello, Hello)
    assert hello.is_keeper


def test_worker_that_ends_is_reported_once_and_not_kept(tmp_path, supervisor, ended):
    with ScriptedPeer(tmp_path, WELCOME, HANG_UP) as peer:
        supervisor.keep(peer.entry, _go_on)
        until(lambda: bool(ended))
        assert not supervisor.keeps(peer.entry)
    assert ended == [peer.entry]


def test_keeps_knows_of_an_end_before_the_thread_does(tmp_path):
    is_told, may_go_on = threading.Event(), threading.Event()

    def slow(_: Entry) -> None:
        is_told.set()
        may_go_on.wait(10.0)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    supervisor = Supervisor(slow)
    with ScriptedPeer(tmp_path / "a", WELCOME, HANG_UP) as first:
        supervisor.keep(first.entry, _go_on)
        assert is_told.wait(10.0)
    with ScriptedPeer(tmp_path / "b", WELCOME, HANG_UP) as second:
        supervisor.keep(second.entry, _go_on)
        until(lambda: not supervisor.keeps(second.entry))
    may_go_on.set()
    supervisor.close()


def test_keep_worker_that_is_leaving_is_false(tmp_path, supervisor):
    with ScriptedPeer(tmp_path, HANG_UP) as peer:
        assert not supervisor.keep(peer.entry, _go_on)


def test_nonsense_from_a_worker_is_its_end_and_nobody_elses(tmp_path, supervisor, ended):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    is_kept = threading.Event()
    with ScriptedPeer(tmp_path / "a", WELCOME, is_kept, b"\xff\xff\xff\xff", WAIT) as mad:
        supervisor.keep(mad.entry, _go_on)
        is_kept.set()
        until(lambda: ended == [mad.entry])
    with ScriptedPeer(tmp_path / "b", WELCOME, HANG_UP) as other:
        assert supervisor.keep(other.entry, _go_on)
        until(lambda: ended == [mad.entry, other.entry])


def test_keep_after_close_says_so_and_not_that_the_worker_is_gone(tmp_path, supervisor):
    supervisor.close()
    with ScriptedPeer(tmp_path, WELCOME, WAIT) as peer, pytest.raises(ShuttingDownError):
        supervisor.keep(peer.entry, _go_on)


def test_close_lets_go_and_keeps_nobody_any_more(tmp_path, supervisor):
    with ScriptedPeer(tmp_path, WELCOME, WAIT) as peer:
        supervisor.keep(peer.entry, _go_on)
        supervisor.close()
        supervisor.close()
        assert not supervisor.keeps(peer.entry)
