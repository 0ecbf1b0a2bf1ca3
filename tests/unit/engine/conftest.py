"""A disk tier in an empty folder, and lanes over it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.clock import FakeClock
from support.scripted_lanes import CachedLanes, SavedLane

from pyrunner.engine.disk_tier import DiskTier

_N_PLENTY = 10**6

Load = Callable[..., CachedLanes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def load(folder: Path) -> Load:
    def load(
        *, key: bytes = b"key", disk_bytes: int = _N_PLENTY, clock: FakeClock | None = None, **lanes
    ) -> CachedLanes:
        disk = DiskTier(folder, key, disk_bytes, SavedLane.blank, clock or FakeClock())
        return CachedLanes(disk=disk, **lanes)

    return load
