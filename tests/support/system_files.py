"""Files of a system that a test makes up, such as ``proc/stat`` below its own root."""

from pathlib import Path


def write_file(path: Path, text: str) -> None:
    """Write a file, and the folders it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
