"""How much memory this machine, or this container, has and has left."""

import os
from collections.abc import Iterator
from pathlib import Path

from pyrunner import control_groups
from pyrunner.control_groups import read

_V1_LIMIT = "memory.limit_in_bytes"
_V1_USAGE = "memory.usage_in_bytes"


def total_bytes(root: Path = Path("/")) -> int:
    """The memory of this machine, or of this container if that is less.

    Args:
        root: Where ``proc`` and ``sys`` are (tests).
    """
    # A group of cgroup v1 without a limit shows a number near 2**63.
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [*_files(root, "memory.max"), *_files(root, _V1_LIMIT, "memory")]
    return min([physical, *map(_number, limits)])


def room_bytes(root: Path = Path("/")) -> int:
    """What processes may still take without anything being swapped out, slowed or killed for it.

    Cached files count as room: the system drops them. 0 where it does not tell (macOS).

    Args:
        root: Where ``proc`` and ``sys`` are (tests).
    """
    available = _field(root / "proc/meminfo", "MemAvailable:") * 1024
    rooms = [_room(path, "memory.current", "") for path in _files(root, "memory.max")]
    rooms += [_room(path, "memory.current", "") for path in _files(root, "memory.high")]
    rooms += [_room(path, _V1_USAGE, "total_") for path in _files(root, _V1_LIMIT, "memory")]
    return max(0, min([available, *rooms]))


def _room(limit: Path, usage_name: str, prefix: str) -> int:
    """What is left below one limit of one group."""
    group = limit.parent
    cached = sum(
        _field(group / "memory.stat", f"{prefix}{kind}_file") for kind in ("active", "inactive")
    )
    return _number(limit) - _number(group / usage_name) + cached


def _files(root: Path, name: str, controller: str = "") -> Iterator[Path]:
    """The files of our groups that hold such a number: not where there is none, or it is "max"."""
    files = (folder / name for folder in control_groups.folders(root, controller))
    return (file for file in files if read(file).strip().isdigit())


def _number(path: Path) -> int:
    text = read(path).strip()
    return int(text) if text.isdigit() else 0


def _field(path: Path, name: str) -> int:
    """The number behind a name in a file of such lines, 0 where there is none."""
    words = (line.split() for line in read(path).splitlines())
    found = (each[1] for each in words if len(each) > 1 and each[0] == name)
    return next((int(number) for number in found if number.isdigit()), 0)
