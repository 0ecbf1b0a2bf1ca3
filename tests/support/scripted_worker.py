"""A worker process around the scripted engine: everything is real but the model.

``python scripted_worker.py [--gate FILE] [--error CODE]`` in place of ``python -m
pyrunner.worker``: loading waits until FILE exists, or fails.
"""

import argparse
import os
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from pyrunner.errors import ModelLoadError
from pyrunner.worker.ports import OnProgress
from pyrunner.worker.process import run
from support.scripted_engine import ScriptedBackend

_PAUSE_S = 0.005


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gate", type=Path)
    parser.add_argument("--load", choices=["ok", "error", "crash"], default="ok")
    options, _ = parser.parse_known_args()

    def on_load(on_progress: OnProgress) -> bool:
        if options.load == "error":
            raise ModelLoadError(path="scripted", problem="as told")
        if options.load == "crash":
            os.abort()
        pause = threading.Event()
        n_asked = 0
        while options.gate is not None and not options.gate.exists():
            n_asked += 1
            if not on_progress(min(0.99, n_asked / 100)):
                return False
            pause.wait(0.01)
        return True

    return run(ScriptedBackend(_PAUSE_S, on_load))


if __name__ == "__main__":
    sys.exit(main())
