"""Commands that the permissions of files bind, also when root runs the tests."""

import os
import shutil
from pathlib import Path

from support.command_line import PYRUNNER


def bound_command() -> tuple[str, ...]:
    """``pyrunner``, without root's right to write what nobody may write."""
    if os.geteuid() != 0:
        return PYRUNNER
    setpriv = shutil.which("setpriv")
    assert setpriv is not None, "root needs setpriv (util-linux) to test permissions"
    return (setpriv, "--bounding-set=-all", "--inh-caps=-all", *PYRUNNER)


def set_writable(folder: Path, *, is_writable: bool) -> None:
    """Give or take the permission to write, for everything below a folder and for itself."""
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | 0o200 if is_writable else mode & ~0o222)
