"""A worker process between its start and the moment it is told what it is."""

import socket
import subprocess
from collections.abc import Sequence

from pyrunner.runtime.interpreter import child_environment
from pyrunner.runtime.processes import children
from pyrunner.wire.launch import Descriptors, send_launch

_END_S = 2.0
"""Many times what it takes, even of one that was started just before."""


class Newborn:
    """Waits for its launch parameters; without them it ends, when this is closed or we are gone.

    Args:
        command: Of a program that calls `receive_launch`.
        log_fd: What it writes until then goes there; None loses it.

    Raises:
        OSError: The system refused a socket or a process.
    """

    def __init__(self, command: Sequence[str], log_fd: int | None) -> None:
        output = subprocess.DEVNULL if log_fd is None else log_fd
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=theirs.fileno(),
                stdout=output,
                stderr=output,
                cwd="/",
                env=child_environment(),
                start_new_session=True,
                umask=0o077,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._line = ours
        try:
            self.started = children.add(self._process)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it waits."""
        return self._process.poll()

    def tell(self, launch: bytes, descriptors: Descriptors) -> None:
        """Give it its parameters, as `encode_launch` wrote them, and copies of the descriptors.

        Raises:
            OSError: It has ended.
        """
        with self._line:
            send_launch(self._line, launch, descriptors)

    def close(self) -> None:
        """Let it go, and wait for its end."""
        self._line.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
