"""What memory this process has (Linux)."""

from pathlib import Path


def mapped_bytes(path: Path) -> int:
    """How much of a file is mapped, by all its mappings together."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = [line.split()[0].split("-") for line in lines if line.endswith(str(path))]
    return sum(int(end, 16) - int(begin, 16) for begin, end in spans)


def anonymous_bytes() -> int:
    """What is no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))
