"""wire.server_socket: dead files go, everything else stays."""

import fcntl
import os
import socket

import pytest

from pyrunner.wire.server_socket import is_answered, remove_dead


@pytest.fixture
def lock(tmp_path):
    made = tmp_path / "lock"
    made.touch()
    return made


@pytest.fixture
def dead(tmp_path):
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    return path


def test_remove_dead_nobody_listens_it_goes(dead, lock):
    assert not is_answered(dead)
    remove_dead(dead, lock)
    assert not dead.exists()
    assert not is_answered(dead)


def test_remove_dead_somebody_listens_it_stays(tmp_path, lock):
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        assert is_answered(path)
        remove_dead(path, lock)
        assert path.exists()


def test_remove_dead_somebody_has_the_lock_it_stays(dead, lock):
    holder = os.open(lock, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    remove_dead(dead, lock)
    assert dead.exists()
    os.close(holder)


def test_remove_dead_no_socket_or_no_lock_changes_nothing(tmp_path, dead, lock):
    (tmp_path / "note").write_text("mine")
    remove_dead(tmp_path / "note", lock)
    assert (tmp_path / "note").exists()
    remove_dead(dead, tmp_path / "nothing")
    assert dead.exists()
