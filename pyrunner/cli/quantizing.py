"""``package --quantize``: a smaller copy of the weights, for as long as it takes to package it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from pyrunner import config
from pyrunner.cli import progress, scratch
from pyrunner.cli.library import ProgressLine
from pyrunner.errors import InvalidParameterError

_FULL = ("F32", "F16", "BF16")
"""What llama.cpp makes smaller; from anything less it would lose twice."""


@contextmanager
def weights_of(settings: config.Settings, reference: str) -> Iterator[Path]:
    """Name the weights of a model of the store as files, in a folder that is removed at the end.

    Blobs have digests for names, and llama.cpp finds the other shards by their names.

    Returns:
        The only file, or the first shard.

    Raises:
        ModelNotFoundError: There is no such model.
        InvalidParameterError: Its weights are no GGUF files.
    """
    from pyrunner.models import catalog
    from pyrunner.models.shards import shard_name

    model, lease = catalog.open_store(settings).acquire(reference)
    with lease:
        paths = model.weight_paths
        if not paths:
            problem = f"needs GGUF weights, and {reference!r} has none"
            raise InvalidParameterError(param="--quantize", problem=problem)
        folder = scratch.make(settings.home, "weights")
        try:
            names = [shard_name("model", i, len(paths)) for i in range(len(paths))]
            for name, path in zip(names, paths, strict=True):
                (folder / name).symlink_to(path.absolute())
            yield folder / names[0]
        finally:
            rmtree(folder, ignore_errors=True)


@contextmanager
def quantized(settings: config.Settings, source: Path, quantization: str) -> Iterator[Path]:
    """Quantise a GGUF file into a folder that is removed at the end.

    The progress is shown on standard error.

    Args:
        settings: Where this user's files are; the copy is made beside the store, which is where
            there is room for models.
        source: The file; of a sharded model the first shard.
        quantization: For example ``Q4_K_M``.

    Raises:
        InvalidParameterError: No such quantisation, or the file is quantised already.
        ModelFileError: A shard is missing or damaged.
        ModelLoadError: llama.cpp refuses the file; says why.
    """
    from pyrunner.models.shards import shard_position
    from pyrunner.runtime.quantizer import file_type_of, quantize

    file_type = file_type_of(quantization)
    _check(source)
    folder = scratch.make(settings.home, "quantizing")
    try:
        # The name is recorded in the artifact: equal input has to give an equal name.
        shard = shard_position(source.name)
        stem = shard.stem if shard else source.stem
        target = folder / f"{stem}-{quantization.upper()}.gguf"
        n_bytes = source.stat().st_size
        with progress.shown(sys.stderr) as tell:
            quantize(source, target, file_type, lambda done: tell(_line(target, done, n_bytes)))
        yield target
    finally:
        rmtree(folder, ignore_errors=True)


def _check(source: Path) -> None:
    """One sentence, before a process is started; llama.cpp opens all shards, and no other file."""
    from pyrunner.gguf import read_header
    from pyrunner.models.package_sources import check_shards
    from pyrunner.models.shards import siblings

    shards = siblings(source)
    headers = [read_header(each) for each in shards]
    check_shards(shards, headers)
    quantization = headers[0].quantization
    if quantization and quantization not in _FULL:
        problem = f"needs weights in {', '.join(_FULL)}, and these are {quantization} already"
        raise InvalidParameterError(param="--quantize", problem=problem)


def _line(target: Path, done: float, n_bytes: int) -> ProgressLine:
    layer = {"id": target.name, "size": n_bytes, "current": round(done * n_bytes)}
    return {"type": "progress", "mode": "quantize", "total": n_bytes, "layer": layer}
