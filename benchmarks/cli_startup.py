"""How long the command line takes to answer: medians of whole processes, and what they import.

Budgets: ``--help`` 0.3 s, ``ls`` 0.5 s. Only an idle machine gives figures worth keeping.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = (("--help",), ("ls",), ("status", "--json"), ("version",), ("pull", "--help"))


def measure_ms(command: tuple[str, ...], environment: dict[str, str], n_runs: int) -> float:
    """Median wall time of the command as a process of its own."""
    times_s = []
    for _ in range(n_runs):
        begin = time.perf_counter()
        subprocess.run(command, env=environment, capture_output=True, check=False)
        times_s.append(time.perf_counter() - begin)
    return statistics.median(times_s) * 1000


def slowest_imports(environment: dict[str, str], n_shown: int = 8) -> list[str]:
    """What ``ls`` imports, the costliest first, in microseconds with everything below."""
    command = (sys.executable, "-X", "importtime", "-m", "pyrunner", "ls")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = re.findall(r"\| +(\d+) \| +(\S+)$", done.stderr, re.MULTILINE)
    costs = sorted(((int(cost), name) for cost, name in lines), reverse=True)
    return [f"{cost / 1000:8.1f} ms  {name}" for cost, name in costs[:n_shown]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    n_runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"PYRUNNER_HOME": home, "PYRUNNER_SERVER_PORT": "0"}
        bare = measure_ms((sys.executable, "-c", "pass"), environment, n_runs)
        print(f"{'python -c pass':24} {bare:6.0f} ms")
        script = Path(sys.executable).with_name("pyrunner")
        own = (str(script),) if script.exists() else (sys.executable, "-m", "pyrunner")
        for command in COMMANDS:
            taken = measure_ms((*own, *command), environment, n_runs)
            print(f"{' '.join(command):24} {taken:6.0f} ms")
        print("\nwhat 'ls' imports:", *slowest_imports(environment), sep="\n")


if __name__ == "__main__":
    main()
