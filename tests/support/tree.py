"""The project's own files, as git sees them."""

import ast
import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def files() -> tuple[str, ...]:
    """Every path that is tracked, or new and not ignored; submodules and deleted files are out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    return tuple(sorted({path for path in listed if path and (ROOT / path).is_file()}))


def named(*endings: str, below: str = "") -> list[str]:
    """The paths below a folder that end in one of `endings`."""
    return [path for path in files() if path.startswith(below) and path.endswith(endings)]


@functools.cache
def parsed(path: str) -> ast.Module:
    """One Python file's syntax tree."""
    return ast.parse((ROOT / path).read_text(), filename=path)
