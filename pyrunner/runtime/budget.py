"""How much memory a model takes, and how much all of them may take together."""

import os
from pathlib import Path

_SHARE = 0.8
"""Of the machine's memory, when no budget is configured; the rest is for everybody else."""

_UNLIMITED_BYTES = 1 << 60
"""A cgroup without a limit shows a number near 2**63."""


def budget_bytes(configured_bytes: int, root: Path = Path("/")) -> int:
    """Bytes that all loaded models may take together.

    Args:
        configured_bytes: `RuntimeConfig.memory_budget_bytes`; 0 takes a share of the memory of
            this machine, or of this container if that is less.
        root: Where ``proc`` and ``sys`` are (tests).
    """
    if configured_bytes > 0:
        return configured_bytes
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min(physical, *_cgroup_limits(root), _UNLIMITED_BYTES) * _SHARE)


def _cgroup_limits(root: Path) -> list[int]:
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    mount = root / "sys/fs/cgroup"
    found: list[int] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            found += _limits_upwards(mount, path, "memory.max")
        elif "memory" in controllers.split(","):
            found += _limits_upwards(mount / "memory", path, "memory.limit_in_bytes")
    return found


def _limits_upwards(mount: Path, path: str, name: str) -> list[int]:
    """Every limit from a group up to the root: a parent's binds its children.

    Inside a container the group's own path is often not visible and the mount is the group.
    """
    parts = [part for part in path.split("/") if part not in ("", "..")]
    found = []
    for n_parts in range(len(parts), -1, -1):
        try:
            text = mount.joinpath(*parts[:n_parts], name).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text.isdigit():
            found.append(int(text))
    return found
