"""``python -m pyrunner.worker``: started by `pyrunner.runtime`, never by a person."""

import sys

from pyrunner.worker.native import NativeBackend
from pyrunner.worker.process import run

if __name__ == "__main__":
    sys.exit(run(NativeBackend()))
