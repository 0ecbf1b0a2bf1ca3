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


def _group(root: Path, **numbers: int | str) -> None:
    (root / "proc/self/cgroup").write_text("0::/a\n")
    for name, number in numbers.items():
        (root / "sys/fs/cgroup/a" / f"memory.{name}").write_text(f"{number}\n")


def test_room_in_a_group_counts_what_cannot_be_dropped(root: Path) -> None:
    _group(root, max=300 * KIB, high="max", current=150 * KIB)
    stat = f"anon 7\ninactive_file {40 * KIB}\nactive_file {10 * KIB}\nshmem 9\n"
    (root / "sys/fs/cgroup/a/memory.stat").write_text(stat)
    assert room_bytes(root) == 200 * KIB
    assert total_bytes(root) == 300 * KIB


def test_room_ends_where_a_group_is_slowed(root: Path) -> None:
    _group(root, max=300 * KIB, high=200 * KIB, current=150 * KIB)
    assert room_bytes(root) == 50 * KIB
    assert total_bytes(root) == 300 * KIB


def test_room_in_an_old_group(root: Path) -> None:
    (root / "proc/self/cgroup").write_text("5:memory:/x\n")
    group = root / "sys/fs/cgroup/memory/x"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text(f"{300 * KIB}\n")
    (group / "memory.usage_in_bytes").write_text(f"{90 * KIB}\n")
    stat = f"inactive_file 1\ntotal_inactive_file {30 * KIB}\ntotal_active_file {10 * KIB}\n"
    (group / "memory.stat").write_text(stat)
    assert room_bytes(root) == 250 * KIB


def test_room_is_never_less_than_none(root: Path) -> None:
    _group(root, max=10, current=30)
    assert room_bytes(root) == 0


def test_room_where_nothing_is_told_is_none(tmp_path: Path) -> None:
    assert room_bytes(tmp_path) == 0


def test_room_from_nonsense_is_none(root: Path) -> None:
    (root / "proc/meminfo").write_bytes(b"MemAvailable: \xff\nMemAvailable:\n")
    assert room_bytes(root) == 0
