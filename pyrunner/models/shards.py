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


def shard_name(stem: str, i_shard: int, n_shards: int) -> str:
    """The name of one file of a model, `i_shard` from 0; ``stem.gguf`` for a whole one."""
    if n_shards == 1:
        return f"{stem}.gguf"
    return f"{stem}-{i_shard + 1:05}-of-{n_shards:05}.gguf"


def siblings(path: Path) -> tuple[Path, ...]:
    """All files of the model that `path` is part of, in order; just `path` when it is whole.

    Raises:
        ModelFileError: A sibling is missing; names it.
    """
    position = shard_position(path.name)
    if position is None or position.n_shards == 1:
        return (path,)
    found = []
    for i in range(position.n_shards):
        name = shard_name(position.stem, i, position.n_shards)
        sibling = path.with_name(name).with_suffix(path.suffix)  # .GGUF of a .GGUF
        if not sibling.is_file():
            raise ModelFileError(
                path=str(sibling), problem=f"shard {i + 1} of {position.n_shards} is missing"
            )
        found.append(sibling)
    return tuple(found)
