"""runtime.budget: how much memory models may take."""

import os

import pytest

from pyrunner.runtime.budget import budget_bytes

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    return tmp_path


def test_budget_configured_is_taken_as_it_is(root):
    assert budget_bytes(12345, root) == 12345


def test_budget_without_cgroup_is_a_share_of_the_machine(tmp_path):
    assert budget_bytes(0, tmp_path) == int(PHYSICAL * 0.8)


def test_budget_cgroup_v2_tightest_limit_on_the_way_up_counts(root):
    (root / "proc/self/cgroup").write_text("0::/a/b\n")
    (root / "sys/fs/cgroup/a/b").mkdir(parents=True)
    (root / "sys/fs/cgroup/a/b/memory.max").write_text("max\n")
    (root / "sys/fs/cgroup/a/memory.max").write_text("1000000\n")
    assert budget_bytes(0, root) == 800_000


def test_budget_cgroup_v2_own_path_invisible_takes_the_mount(root):
    (root / "proc/self/cgroup").write_text("0::/docker/0123\n")
    (root / "sys/fs/cgroup/memory.max").write_text("2000000\n")
    assert budget_bytes(0, root) == 1_600_000


def test_budget_cgroup_v1_limit_counts(root):
    (root / "proc/self/cgroup").write_text("7:cpu,cpuacct:/x\n5:memory:/x\n")
    (root / "sys/fs/cgroup/memory/x").mkdir(parents=True)
    (root / "sys/fs/cgroup/memory/x/memory.limit_in_bytes").write_text("500000\n")
    assert budget_bytes(0, root) == 400_000


def test_budget_cgroup_file_of_nonsense_is_ignored(root):
    (root / "proc/self/cgroup").write_bytes(b"\xff\xfe:::\n")
    assert budget_bytes(0, root) == int(PHYSICAL * 0.8)


def test_budget_cgroup_path_with_dots_stays_below_the_mount(root):
    (root / "proc/self/cgroup").write_text("0::/../../etc\n")
    (root / "sys/memory.max").write_text("1\n")
    assert budget_bytes(0, root) == int(PHYSICAL * 0.8)
