"""A disk tier in an empty folder, lanes over it, and lanes that can be short."""

import time
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
        *,
        key: bytes = b"key",
        disk_bytes: int = _N_PLENTY,
        clock: FakeClock | None = None,
        unix_ns: Callable[[], int] = time.time_ns,
        **lanes,
    ) -> CachedLanes:
        clock = clock or FakeClock()
        disk = DiskTier(folder, key, disk_bytes, SavedLane.blank, clock, unix_ns)
        return CachedLanes(disk=disk, **lanes)

    return load


@pytest.fixture
def short_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes as long as a multiple of 32 tokens, so that a few hundred make several layouts."""
    monkeypatch.setattr("pyrunner.engine.lanes.CELL_PADDING", 32)
