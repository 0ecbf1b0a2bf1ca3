"""How long a worker takes from its start until it can be told what to load.

Its process is started as the server starts it, on a line that is already closed, so that it ends
where it would wait for its launch parameters: what is timed is the whole process, its end
included. Native code is imported later, while the worker answers already; a second figure has it
in. A bare Python beside them shows how much of it is not ours. All three run in turn.

    make bench ARGS=benchmarks/worker_start.py
"""

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from measuring.spread import shown  # path first

from pyrunner.runtime.interpreter import child_environment, module_command

_WORKER = module_command("pyrunner.worker")
_NATIVE = "import pyrunner.worker.native, pyrunner.worker.process, pyrunner._native"
_COMMANDS = {
    "python -c pass": (sys.executable, "-P", "-c", "pass"),
    "a worker until it waits for what to load": _WORKER,
    "the same imports and native code": (sys.executable, "-P", "-c", _NATIVE),
}


def main() -> None:
    """Measure, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    for command in _COMMANDS.values():
        _process_ms(command)  # brings every file into the page cache
    times_ms: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for _ in range(options.rounds):
        for name, command in _COMMANDS.items():
            times_ms[name].append(_process_ms(command))
    print("| process | ms |\n|---|---|")
    for name, values in times_ms.items():
        print(f"| {name} | {shown(values, 0)} |")


def _process_ms(command: Sequence[str]) -> float:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        begin_s = time.perf_counter()
        subprocess.run(command, stdin=theirs, cwd="/", env=child_environment(), check=True)
        return (time.perf_counter() - begin_s) * 1000


if __name__ == "__main__":
    main()
