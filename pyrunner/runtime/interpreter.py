"""Our own Python programs as processes: which command, and what they inherit."""

import os
import sys
from pathlib import Path

import pyrunner
from pyrunner import config


def module_command(module: str) -> tuple[str, ...]:
    """The command that runs a module of ours.

    ``-P`` keeps the current folder off the import path, faulthandler writes where a crash in
    native code came from to standard error.
    """
    python = sys.executable
    if not Path(python).name.startswith(("python", "pypy")):
        # Inside uWSGI and other embedders the executable is the host program.
        python = str(Path(sys.prefix, "bin", "python3"))
    return (python, "-P", "-X", "faulthandler", "-m", module)


def child_environment() -> dict[str, str]:
    """What such a process inherits, with an import path that does not depend on its folder."""
    given = config.environment_value("PYTHONPATH") or ""
    entries = [str(Path(each).absolute()) for each in given.split(os.pathsep) if each]
    root = Path(pyrunner.__file__).absolute().parents[1]
    # Run from a source tree we may have been found through the current folder. An installed
    # package is found anyway, and its folder must not come before the standard library.
    if root.name not in ("site-packages", "dist-packages") and str(root) not in entries:
        entries.append(str(root))
    extra = {
        # An abort inside ggml would start a debugger, where one is installed, and take seconds.
        "GGML_NO_BACKTRACE": "1",
    }
    if entries:
        extra["PYTHONPATH"] = os.pathsep.join(entries)
    return config.child_environment(extra)
