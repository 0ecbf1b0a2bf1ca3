"""A pull in a process of its own, for tests to kill: ``pull_process.py STORE NAME``.

Large blobs come in three ranges of 2 MiB, as `RANGED` says.
"""

import sys
from pathlib import Path

from pyrunner.config import RegistryConfig
from pyrunner.models.store import Store
from pyrunner.models.transfer import pull
from pyrunner.registry.client import RegistryClient
from support.artifacts import NAMES
from support.recording import Told

RANGED = RegistryConfig(
    max_attempts=3,
    timeout_s=60,
    n_ranges=3,
    range_bytes=2 * 1024 * 1024,
    ranges_above_bytes=4 * 1024 * 1024,
)

if __name__ == "__main__":
    with RegistryClient(RANGED) as client:
        pull(Store(Path(sys.argv[1]), NAMES), client, sys.argv[2], Told())
