"""runtime.ledger: one file, one lock, no dead entries."""

import contextlib
import fcntl
import os
import subprocess
import sys
from typing import Any

import pytest

from pyrunner.errors import ModelLoadingError
from pyrunner.runtime.folder import RuntimeFolder
from pyrunner.runtime.ledger import Entry, Ledger
from pyrunner.runtime.processes import started_at
from pyrunner.types import ModelMode


def _nothing() -> None:
    pass


@pytest.fixture
def folder(tmp_path):
    made = RuntimeFolder(tmp_path / "run")
    made.prepare()
    return made


def _entry(folder: RuntimeFolder, **given: Any) -> Entry:
    socket = folder.new_socket()
    socket.touch()
    usual: dict[str, Any] = {
        "socket": str(socket),
        "reference": "docker.io/ai/x:latest",
        "model_id": "sha256:1",
        "mode": ModelMode.COMPLETION,
        "pid": os.getpid(),
        "started": started_at(os.getpid()),
        "size_bytes": 5,
        "last_used": 1.0,
        "config_hash": "0" * 16,
    }
    return Entry(**(usual | given))


def test_locked_entry_put_is_there_for_the_next_holder(folder):
    made = _entry(folder)
    with Ledger(folder).locked(_nothing) as page:
        page.put(made)
    with Ledger(folder).locked(_nothing) as page:
        assert page.find("sha256:1", ModelMode.COMPLETION) == made
        assert page.find("sha256:1", ModelMode.EMBEDDING) is None


def test_locked_exception_inside_keeps_what_was_put(folder):
    with contextlib.suppress(KeyError), Ledger(folder).locked(_nothing) as page:
        page.put(_entry(folder))
        raise KeyError
    assert len(Ledger(folder).snapshot()) == 1


def test_locked_dead_process_loses_entry_and_socket(folder):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead = _entry(folder, pid=child.pid, started="1")
    with Ledger(folder).locked(_nothing) as page:
        page.put(dead)
    with Ledger(folder).locked(_nothing) as page:
        assert page.entries() == []
    assert folder.all_sockets() == []
    assert b"pid" not in folder.ledger.read_bytes()


def test_locked_reused_pid_counts_as_dead(folder):
    with Ledger(folder).locked(_nothing) as page:
        page.put(_entry(folder, started="12"))
    assert Ledger(folder).snapshot() == []


def test_locked_socket_without_entry_is_removed(folder):
    folder.new_socket().touch()
    with Ledger(folder).locked(_nothing):
        assert folder.all_sockets() == []


def test_mark_leaving_worker_is_not_found_but_still_counted(folder):
    made = _entry(folder)
    with Ledger(folder).locked(_nothing) as page:
        page.put(made)
        page.mark_leaving(made.socket)
        assert page.find("sha256:1", ModelMode.COMPLETION) is None
        assert [each.size_bytes for each in page.entries()] == [5]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"workers":[{}]}', b"\xff" * 2_000_000, b'{"workers":' * 10_000],
    ids=["empty", "cut", "wrong type", "wrong entry", "huge", "deep"],
)
def test_locked_file_of_nonsense_starts_empty(folder, content):
    folder.ledger.write_bytes(content)
    with Ledger(folder).locked(_nothing) as page:
        assert page.entries() == []
        page.put(_entry(folder))
    assert len(Ledger(folder).snapshot()) == 1


def test_locked_held_elsewhere_gives_up_when_told(folder):
    holder = os.open(folder.lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)

    def give_up() -> None:
        raise ModelLoadingError(reference="x")

    with pytest.raises(ModelLoadingError), Ledger(folder).locked(give_up):
        pass
    os.close(holder)
    with Ledger(folder).locked(give_up) as page:
        assert page.entries() == []
