"""Paths that somebody else wrote: of layers inside a model, of entries inside a tar."""

from pathlib import PurePosixPath


def leaves_folder(text: str) -> bool:
    """Whether a path would lead out of the folder it is relative to, here or on Windows."""
    path = PurePosixPath(text)
    return (
        path.is_absolute() or ".." in path.parts or "\\" in text or "\0" in text or text[1:2] == ":"
    )
