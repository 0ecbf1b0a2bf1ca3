"""What this machine, or this container, has and has left; more about limits in `test_budget`."""

from pathlib import Path

import pytest

from pyrunner.machine_memory import room_bytes, total_bytes

KIB = 1024


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 900 kB\nMemAvailable:     500 kB\n")
    (tmp_path / "sys/fs/cgroup/a").mkdir(parents=True)
    return tmp_path


def test_room_is_what_the_machine_has_left(root: Path) -> None:
    assert room_bytes(root) == 500 * KIB


def test_room_in_a_group_counts_what_cannot_be_dropped(root: Path) -> None:
    (root / "proc/self/cgroup").write_text("0::/a\n")
    (root / "sys/fs/cgroup/a/memory.max").write_text(f"{300 * KIB}\n")
    (root / "sys/fs/cgroup/a/memory.stat").write_text(f"anon_thp 7\nanon {100 * KIB}\nfile 9\n")
    assert room_bytes(root) == 200 * KIB
    assert total_bytes(root) == 300 * KIB


def test_room_in_an_old_group(root: Path) -> None:
    (root / "proc/self/cgroup").write_text("5:memory:/x\n")
    (root / "sys/fs/cgroup/memory/x").mkdir(parents=True)
    (root / "sys/fs/cgroup/memory/x/memory.limit_in_bytes").write_text(f"{300 * KIB}\n")
    (root / "sys/fs/cgroup/memory/x/memory.stat").write_text(f"rss 1\ntotal_rss {50 * KIB}\n")
    assert room_bytes(root) == 250 * KIB


def test_room_is_never_less_than_none(root: Path) -> None:
    (root / "proc/self/cgroup").write_text("0::/a\n")
    (root / "sys/fs/cgroup/a/memory.max").write_text("10\n")
    (root / "sys/fs/cgroup/a/memory.stat").write_text("anon 30\n")
    assert room_bytes(root) == 0


def test_room_where_nothing_is_told_is_none(tmp_path: Path) -> None:
    assert room_bytes(tmp_path) == 0


def test_room_from_nonsense_is_none(root: Path) -> None:
    (root / "proc/meminfo").write_bytes(b"MemAvailable: \xff\nMemAvailable:\n")
    assert room_bytes(root) == 0
