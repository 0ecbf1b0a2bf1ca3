"""How much memory this machine, or this container, has and has left."""

import os
from collections.abc import Iterator
from pathlib import Path


def total_bytes(root: Path = Path("/")) -> int:
    """The memory of this machine, or of this container if that is less.

    Args:
        root: Where ``proc`` and ``sys`` are (tests).
    """
    # A group of cgroup v1 without a limit shows a number near 2**63.
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (limit for limit, _ in _cgroups(root))
    return min([physical, *limits])


def room_bytes(root: Path = Path("/")) -> int:
    """What processes may still take without that anything is swapped out or killed for it.

    Cached files count as room: the system drops them. 0 where it does not tell (macOS).

    Args:
        root: Where ``proc`` and ``sys`` are (tests).
    """
    available = _field(root / "proc/meminfo", "MemAvailable:") * 1024
    left = (limit - taken for limit, taken in _cgroups(root))
    return max(0, min([available, *left]))


def _cgroups(root: Path) -> Iterator[tuple[int, int]]:
    """Bytes each of our groups may have, and what of it is taken, cached files aside."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    mount = root / "sys/fs/cgroup"
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            yield from _limits_upwards(mount, path, "memory.max", "anon")
        elif "memory" in controllers.split(","):
            v1 = mount / "memory"
            yield from _limits_upwards(v1, path, "memory.limit_in_bytes", "total_rss")


def _limits_upwards(mount: Path, path: str, name: str, taken: str) -> Iterator[tuple[int, int]]:
    """Every limit from a group up to the root: a parent's binds its children.

    Inside a container the group's own path is often not visible and the mount is the group.
    """
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for n_parts in range(len(parts), -1, -1):
        folder = mount.joinpath(*parts[:n_parts])
        try:
            text = (folder / name).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text.isdigit():
            yield int(text), _field(folder / "memory.stat", taken)


def _field(path: Path, name: str) -> int:
    """The number behind a name in a file of such lines, 0 where there is none."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    words = (line.split() for line in lines)
    found = (each[1] for each in words if len(each) > 1 and each[0] == name)
    return next((int(number) for number in found if number.isdigit()), 0)
