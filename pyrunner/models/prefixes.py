"""The folders in which workers keep the prefixes of models that were unloaded.

What is in them is theirs (`pyrunner.engine.prefix_folder`); here they are made, counted, and
removed with the models. A worker never makes one: where its folder is gone, so is the model.
"""

import shutil
import stat
from collections.abc import Collection
from pathlib import Path

from pyrunner import log
from pyrunner.models.files import allocated_bytes
from pyrunner.models.layout import Layout

_PRIVATE = 0o700

_log = log.get("models")


def folder_for(store_path: Path, model_id: str) -> Path | None:
    """Make the folder of a model, readable by this user only; None where that is not possible."""
    parent = Layout(store_path).prefixes
    folder = parent / model_id.rpartition(":")[2]
    try:
        for each in (parent, folder):
            each.mkdir(mode=_PRIVATE, exist_ok=True)
            if stat.S_IMODE(each.lstat().st_mode) != _PRIVATE:
                each.chmod(_PRIVATE, follow_symlinks=False)
    # `chmod` says NotImplementedError where the system cannot change a link, and this is one.
    except (OSError, NotImplementedError) as error:
        _log.warning("no prefixes are kept on disk: %s", error)
        return None
    return folder


def size_bytes(layout: Layout) -> int:
    """What all of them take on the disk."""
    return sum(_size_bytes(each) for each in _folders(layout))


def remove_all_but(layout: Layout, model_ids: Collection[str]) -> int:
    """Remove the folders of models that are gone; returns the bytes set free."""
    freed = 0
    for folder in _folders(layout):
        if f"sha256:{folder.name}" not in model_ids:
            freed += _size_bytes(folder)
            # A worker that saves at this moment may leave a file, which goes with the next removal.
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def _folders(layout: Layout) -> list[Path]:
    try:
        return [each for each in layout.prefixes.iterdir() if each.is_dir()]
    except FileNotFoundError:
        return []


def _size_bytes(folder: Path) -> int:
    try:
        return sum(allocated_bytes(each) for each in folder.iterdir())
    except FileNotFoundError:
        return 0
