"""Sharded GGUF files: ``name-00001-of-00003.gguf``."""

import re
from dataclasses import dataclass
from pathlib import Path

from pyrunner.errors import ModelFileError

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.gguf", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ShardPosition:
    """Where a file stands among its siblings."""

    stem: str
    i_shard: int
    """From 0."""
    n_shards: int


def shard_position(name: str) -> ShardPosition | None:
    """Read a shard's file name; None for a whole model."""
    match = _SHARD.fullmatch(name)
    if match is None:
        return None
    number, total = int(match["number"]), int(match["total"])
    if not 1 <= number <= total:
        return None
    return ShardPosition(match["stem"], number - 1, total)


def siblings(path: Path) -> tuple[Path, ...]:
    """All files of the model that `path` is part of, in order; just `path` when it is whole.

    Raises:
        ModelFileError: A sibling is missing; names it.
    """
    position = shard_position(path.name)
    if position is None:
        return (path,)
    suffix = path.name[-len(".gguf") :]
    found = []
    for number in range(1, position.n_shards + 1):
        sibling = path.with_name(f"{position.stem}-{number:05}-of-{position.n_shards:05}{suffix}")
        if not sibling.is_file():
            raise ModelFileError(
                path=str(sibling), problem=f"shard {number} of {position.n_shards} is missing"
            )
        found.append(sibling)
    return tuple(found)
