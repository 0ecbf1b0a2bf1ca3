"""The command line as a person runs it: a process of its own, with pipes or on a terminal."""

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

DEADLINE_S = 60.0
"""Longest wait of a test for anything; a broken program fails by it, a slow machine does not."""

PYRUNNER = (sys.executable, "-m", "pyrunner")

_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios;"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables for a command whose store and sockets are below `home`, and that uses no port."""
    own = {
        "PYRUNNER_HOME": str(home),
        "PYRUNNER_SERVER_PORT": "0",
        # With two threads and busy cores every step waits for the other; one is also reproducible.
        "PYRUNNER_ENGINE_N_THREADS": "1",
        "NO_COLOR": "1",
    }
    return os.environ | own | dict(extra or {})


def run(
    *arguments: str,
    home: Path,
    stdin: str = "",
    extra: Mapping[str, str] | None = None,
    command: tuple[str, ...] = PYRUNNER,
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end; output is captured, the exit code is not checked."""
    return subprocess.run(
        (*command, *arguments),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
        env=environment(home, extra),
        cwd=home,
    )


def processes_below(home: Path) -> set[int]:
    """Processes that were started with `home` as theirs: servers, workers, commands."""
    mark = f"PYRUNNER_HOME={home}".encode()
    paths = {str(home).encode(), mark}
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            if int(folder.name) != os.getpid() and any(path in words for path in paths):
                found.add(int(folder.name))
    return found


def wait_until(is_so: Callable[[], object], complaint: str) -> None:
    """Look again and again until it is so.

    Raises:
        AssertionError: It is not so within `DEADLINE_S`; says the complaint.
    """
    deadline = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < deadline, complaint
        pause.wait(0.02)


@contextlib.contextmanager
def serving(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """``pyrunner serve`` on a free port and the socket below `home`, until the block is left.

    It has to stop by itself then, with all its workers.
    """
    before = processes_below(home)
    with subprocess.Popen(
        (*PYRUNNER, "serve", "--port", "0"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(home),
        cwd=home,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith("Listening on http://127.0.0.1:")
            assert process.stdout.readline().startswith(f"Listening on {home}")
            yield process
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()
    wait_until(lambda: processes_below(home) <= before, "a process was left behind")


class Terminal:
    """A command on a terminal of its own: what it shows, and keys for it."""

    def __init__(self, main: int, process: "subprocess.Popen[bytes]") -> None:
        self._main = main
        self._process = process
        self.shown = ""

    @classmethod
    @contextlib.contextmanager
    def running(
        cls, *arguments: str, home: Path, extra: Mapping[str, str] | None = None
    ) -> Iterator[Self]:
        """Start ``pyrunner ARGUMENTS`` on a new terminal; it is killed if it is still there."""
        main, side = os.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        plain = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        process = subprocess.Popen(
            (sys.executable, "-c", _TAKE_TERMINAL, *PYRUNNER, *arguments),
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
            env=environment(home, plain | dict(extra or {})),
            cwd=home,
        )
        os.close(side)
        try:
            yield cls(main, process)
        finally:
            process.kill()
            process.wait()
            os.close(main)

    def type(self, keys: str) -> None:
        """Press keys; Ctrl-C is ``\\x03``, Ctrl-D ``\\x04``, Enter ``\\r``."""
        os.write(self._main, keys.encode())

    def wait_for(self, text: str) -> str:
        """Read until `text` is shown after what was waited for last, and return up to there."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.shown:
            self._read(deadline, f"{text!r} was not shown, but {self.shown!r}")
        before, _, self.shown = self.shown.partition(text)
        return before + text

    def wait_for_exit(self) -> int:
        """Read to the end and return the exit code; `shown` then holds the rest."""
        deadline = time.monotonic() + DEADLINE_S
        with contextlib.suppress(EOFError):
            while True:
                self._read(deadline, f"it did not end, but showed {self.shown!r}")
        return self._process.wait(DEADLINE_S)

    def _read(self, deadline: float, complaint: str) -> None:
        left_s = max(0.0, deadline - time.monotonic())
        if not select.select([self._main], [], [], left_s)[0]:
            raise AssertionError(complaint)
        try:
            data = os.read(self._main, 65536)
        except OSError:
            data = b""  # Linux's way to say that the other side is closed
        if not data:
            raise EOFError(complaint)
        self.shown += data.decode("utf-8", "replace")
