"""``package --quantize``: a smaller copy of the weights, for as long as it takes to package it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyrunner import config
from pyrunner.cli import progress, scratch
from pyrunner.cli.library import ProgressLine
from pyrunner.errors import InvalidParameterError, ModelLoadError, StoreIOError

_FULL = ("F32", "F16", "BF16")
"""What llama.cpp makes smaller; from anything less it would lose twice."""
_STREAM_FAILED = "iostream error"
"""How C++ says that a file cannot be written; llama.cpp reads its files in another way."""


@contextmanager
def weights_of(settings: config.Settings, reference: str) -> Iterator[Path]:
    """Name the weights of a model of the store as files, in a folder that is removed at the end.

    Blobs have digests for names, and llama.cpp finds the other shards by their names.

    Returns:
        The only file, or the first shard.

    Raises:
        ModelNotFoundError: There is no such model.
        InvalidParameterError: Its weights are no GGUF files.
        StoreIOError: The folder cannot be made.
    """
    from pyrunner.models import catalog
    from pyrunner.models.files import os_errors
    from pyrunner.models.shards import shard_name

    model, lease = catalog.open_store(settings).acquire(reference)
    with lease:
        paths = model.weight_paths
        if not paths:
            problem = f"needs GGUF weights, and {reference!r} has none"
            raise InvalidParameterError(param="--quantize", problem=problem)
        names = [shard_name("model", i, len(paths)) for i in range(len(paths))]
        with scratch.folder(settings.home, "weights") as folder:
            with os_errors(folder):
                for name, path in zip(names, paths, strict=True):
                    (folder / name).symlink_to(path.absolute())
            yield folder / names[0]


@contextmanager
def quantized(
    settings: config.Settings, source: Path, quantization: str, show: progress.Show
) -> Iterator[Path]:
    """Quantise a GGUF file into a folder that is removed at the end.

    Args:
        settings: Where this user's files are; the copy is made beside the store, which is where
            there is room for models.
        source: The file; of a sharded model the first shard.
        quantization: For example ``Q4_K_M``.
        show: How progress is shown.

    Raises:
        InvalidParameterError: No such quantisation, or the file is quantised already.
        ModelFileError: A shard is missing or damaged.
        ModelLoadError: llama.cpp refuses the file; says why.
        StoreIOError: The folder cannot be made, or the disk is full.
    """
    from pyrunner.models.shards import shard_position
    from pyrunner.runtime.quantizer import file_type_of, quantize
    from pyrunner.user_files import user_file_errors

    file_type = file_type_of(quantization)
    _check(source)
    # The name is recorded in the artifact: equal input has to give an equal name.
    shard = shard_position(source.name)
    stem = shard.stem if shard else source.stem
    with scratch.folder(settings.home, "quantizing") as folder:
        target = folder / f"{stem}-{quantization.upper()}.gguf"
        with user_file_errors(source):
            n_bytes = source.stat().st_size
        with _written_to(settings.home), show() as tell:
            quantize(source, target, file_type, lambda done: tell(_line(target, done, n_bytes)))
        yield target


@contextmanager
def _written_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except ModelLoadError as error:
        if _STREAM_FAILED not in error.problem:
            raise
        problem = "the quantized copy cannot be written"
        raise StoreIOError(path=str(folder), problem=problem) from error


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
    return progress.line("quantize", target.name, round(done * n_bytes), n_bytes)
