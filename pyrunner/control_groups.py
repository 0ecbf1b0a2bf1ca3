"""The control groups of this process, whose limits bind it, from cgroup v2 and v1."""

from collections.abc import Iterator
from pathlib import Path


def folders(root: Path, controller: str = "") -> Iterator[Path]:
    """Our group and those above it, because a parent's limit binds its children.

    Inside a container the group's own path is often not visible and the mount is the group: the
    folder that is there comes last, and others may not exist.

    Args:
        root: Where ``proc`` and ``sys`` are.
        controller: Of cgroup v1, such as ``memory``; none for cgroup v2.
    """
    mount = root / "sys/fs/cgroup" / controller
    for line in read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            parts = [part for part in path.split("/") if part not in ("", "..")]
            for n_parts in range(len(parts), -1, -1):
                yield mount.joinpath(*parts[:n_parts])


def read(path: Path) -> str:
    """What a small file of the system says; nothing where it is not there, or is no text."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
