"""How much memory this machine, or this container, has and has left."""

import os
from collections.abc import Iterator
from pathlib import Path

_V1_LIMIT = "memory.limit_in_bytes"
_V1_USAGE = "memory.usage_in_bytes"


def total_bytes(root: Path = Path("/")) -> int:
    """The memory of this machine, or of this container if that is less.

    Args:
        root: Where ``proc`` and ``sys`` are (tests).
    """
    # A group of cgroup v1 without a limit shows a number near 2**63.
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *(_number(path) for path in _files(root, "memory.max", _V1_LIMIT))])


def room_bytes(root: Path = Path("/")) -> int:
    """What processes may still take without anything being swapped out, slowed or killed for it.

    Cached files count as room: the system drops them. 0 where it does not tell (macOS).

    Args:
        root: Where ``proc`` and ``sys`` are (tests).
    """
    available = _field(root / "proc/meminfo", "MemAvailable:") * 1024
    rooms = [_room(path, "memory.current", "") for path in _files(root, "memory.max", "")]
    rooms += [_room(path, "memory.current", "") for path in _files(root, "memory.high", "")]
    rooms += [_room(path, _V1_USAGE, "total_") for path in _files(root, "", _V1_LIMIT)]
    return max(0, min([available, *rooms]))


def _room(limit: Path, usage_name: str, prefix: str) -> int:
    """What is left below one limit of one group."""
    group = limit.parent
    cached = sum(
        _field(group / "memory.stat", f"{prefix}{kind}_file") for kind in ("active", "inactive")
    )
    return _number(limit) - _number(group / usage_name) + cached


def _files(root: Path, name: str, v1_name: str) -> Iterator[Path]:
    """The files of our groups that hold such a number: of cgroup v2, and of v1; "" for none."""
    text = _read(root / "proc/self/cgroup")
    mount = root / "sys/fs/cgroup"
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "" and name:
            yield from _upwards(mount, path, name)
        elif "memory" in controllers.split(",") and v1_name:
            yield from _upwards(mount / "memory", path, v1_name)


def _upwards(mount: Path, path: str, name: str) -> Iterator[Path]:
    """From a group up to the root, because a parent's limit binds its children.

    Inside a container the group's own path is often not visible and the mount is the group.
    """
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for n_parts in range(len(parts), -1, -1):
        file = mount.joinpath(*parts[:n_parts], name)
        if _read(file).strip().isdigit():  # else there is no such file, or it says "max"
            yield file


def _number(path: Path) -> int:
    text = _read(path).strip()
    return int(text) if text.isdigit() else 0


def _field(path: Path, name: str) -> int:
    """The number behind a name in a file of such lines, 0 where there is none."""
    words = (line.split() for line in _read(path).splitlines())
    found = (each[1] for each in words if len(each) > 1 and each[0] == name)
    return next((int(number) for number in found if number.isdigit()), 0)


def _read(path: Path) -> str:
    """What a file says; nothing where it is not there, or is no text."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
