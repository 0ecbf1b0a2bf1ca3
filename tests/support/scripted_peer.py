"""The worker's end of one connection, said by a script: for tests of the server's end."""

import contextlib
import socket
import threading
from pathlib import Path
from typing import Any, Self

from pyrunner.runtime.ledger import Entry
from pyrunner.types import ModelMode
from pyrunner.wire.channel import decoder_of_server_frames, encode
from pyrunner.wire.frames import FromServer, FromWorker, Welcome

HANG_UP = "hang up"
WAIT = "wait"
"""Until the other side closes."""


def entry_of(path: str) -> Entry:
    """What a ledger would say of a worker there."""
    facts: dict[str, Any] = {"pid": 1, "started": "never", "size_bytes": 1, "last_used": 0.0}
    return Entry(
        socket=path,
        reference="docker.io/ai/x:latest",
        model_id="sha256:0",
        mode=ModelMode.COMPLETION,
        config_hash="0" * 16,
        **facts,
    )


class ScriptedPeer:
    """Accepts one connection, reads what comes, says its lines, and waits for the end.

    Args:
        folder: For the socket.
        *lines: Frames, raw bytes, one of the words above, or an event to wait for.
    """

    def __init__(self, folder: Path, *lines: FromWorker | bytes | str | threading.Event) -> None:
        self.path = str(folder / "w.sock")
        self.heard: list[FromServer] = []
        self._lines = lines
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._listener.settimeout(10.0)
        self._thread = threading.Thread(target=self._talk, name="peer")

    @property
    def entry(self) -> Entry:
        return entry_of(self.path)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.join(10.0)
        self._listener.close()

    def _talk(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(10.0)
            self.heard += decoder_of_server_frames().feed(connection.recv(1 << 16))
            for line in self._lines:
                if line == HANG_UP:
                    return
                if line == WAIT:
                    with contextlib.suppress(ConnectionResetError):  # it hung up unread
                        connection.recv(1)
                elif isinstance(line, threading.Event):
                    assert line.wait(10.0)
                else:
                    assert not isinstance(line, str)
                    connection.sendall(line if isinstance(line, bytes) else encode(line))


WELCOME = Welcome(pid=1)
