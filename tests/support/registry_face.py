"""``pyrunner serve --registry`` as a process of its own, for other programs to pull from."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.command_line import DEADLINE_S, PYRUNNER, environment


@contextlib.contextmanager
def serving_registry(home: Path) -> Iterator[str]:
    """Serve the store below `home`; yields ``127.0.0.1:PORT``, the registry part of references."""
    with subprocess.Popen(
        (*PYRUNNER, "serve", "--registry", "--port", "0"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(home),
        cwd=home,
    ) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().removeprefix("Listening on http://").strip()
            assert url.startswith("127.0.0.1:")
            assert process.stdout.readline().startswith("Listening on ")
            yield url
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()
