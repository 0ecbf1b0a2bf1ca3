"""A process with a runtime, which a test can talk to and kill."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Self

from support import runtime_process
from support.workshop import kill


class ServerProcess:
    """A process with a runtime of its own."""

    def __init__(self, home: Path, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, runtime_process.__file__, str(home), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, int]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))

    def ask(self, line: str) -> dict[str, int]:
        self.say(line)
        return self.answer()

    def kill(self) -> None:
        kill(self._process.pid)
        self._process.wait(10.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(BrokenPipeError), self._process:
            if self._process.poll() is None:
                self.say("close")
