"""What a package is made of: GGUF files, a folder of safetensors, or a DDUF file."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pyrunner import gguf, units
from pyrunner.errors import ModelFileError
from pyrunner.gguf import GgufHeader
from pyrunner.models import artifact, safetensors
from pyrunner.models.artifact import ModelConfig
from pyrunner.models.inner_paths import leaves_folder
from pyrunner.models.layer_files import LayerFile, LayerReader
from pyrunner.models.shards import siblings
from pyrunner.user_files import user_file_errors

MAX_FILES = 4096
"""Most files of one folder: their annotations have to fit into a manifest."""
MAX_DEPTH = 16
"""Folders inside each other."""

_ZIP_MAGIC = b"PK\x03\x04"
_LICENSE_WORDS = ("license", "licence", "copying", "notice")


@dataclass(frozen=True, slots=True)
class Weights:
    """Described files with weights, and what they say of the model."""

    config: ModelConfig
    config_type: str
    """The media type of Docker's config for such a model."""
    files: tuple[LayerFile, ...]


def from_gguf(path: Path, reader: LayerReader) -> Weights:
    """A GGUF file, or all shards of a model when it is one of them.

    Raises:
        ModelFileError: Missing, damaged, or not what its name says.
    """
    shards = siblings(path)
    headers = [gguf.read_header(each) for each in shards]
    check_shards(shards, headers)
    reader.expect(shards)
    files = tuple(reader.describe(each, artifact.GGUF) for each in shards)
    return Weights(gguf_config(headers), artifact.CONFIG_V01, files)


def gguf_config(headers: Sequence[GgufHeader]) -> ModelConfig:
    """What the headers of all shards say, in Docker's words."""
    first = headers[0]
    n_ctx_train = first.n_ctx_train
    main = max(headers, key=lambda each: each.tensor_bytes)
    return ModelConfig(
        format="gguf",
        quantization=first.quantization or main.quantization,
        parameters=gguf.parameters_text(sum(each.n_params for each in headers)),
        architecture=first.architecture,
        size=units.format_bytes(sum(each.tensor_bytes for each in headers)),
        gguf=gguf.config_metadata(first),
        context_size=n_ctx_train if 0 < n_ctx_train <= artifact.MAX_CONTEXT_SIZE else None,
    )


def from_safetensors(folder: Path, reader: LayerReader) -> Weights:
    """A folder with safetensors files; every file in it becomes a layer under its path.

    Files and folders whose names start with a point are left out.

    Raises:
        ModelFileError: No safetensors in it, damaged ones, or something that is neither a file nor
            a folder: what a symbolic link names may lie anywhere.
    """
    names = sorted(islice(_walk(folder, "", MAX_DEPTH), MAX_FILES + 1))
    paths = {name: folder / name for name in names}
    weights = [paths[name] for name in names if name.lower().endswith(".safetensors")]
    if len(names) > MAX_FILES:
        raise ModelFileError(path=str(folder), problem=f"holds more than {MAX_FILES} files")
    if not weights:
        raise ModelFileError(path=str(folder), problem="holds no .safetensors file")
    config = _safetensors_config(folder, weights)
    reader.expect(paths.values())
    files = tuple(reader.describe(paths[name], _folder_type(name), name) for name in names)
    return Weights(config, artifact.CONFIG_V02, files)


def from_dduf(path: Path, reader: LayerReader) -> Weights:
    """A DDUF file, which is a zip archive of a diffusers model.

    Raises:
        ModelFileError: Missing, or no such archive.
    """
    reader.expect([path])
    with user_file_errors(path), path.open("rb") as file:
        if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
            raise ModelFileError(path=str(path), problem="is no DDUF file: it is no zip archive")
    described = reader.describe(path, artifact.DDUF)
    size = units.format_bytes(described.layer.size)
    return Weights(ModelConfig(format="dduf", size=size), artifact.CONFIG_V01, (described,))


def check_shards(paths: Sequence[Path], headers: Sequence[GgufHeader]) -> None:
    """Refuse files that are not the whole of one model.

    Raises:
        ModelFileError: A shard of another model or place, or no weights at all.
    """
    for i, (path, header) in enumerate(zip(paths, headers, strict=True)):
        if header.n_shards != len(paths) or header.i_shard != i:
            raise ModelFileError(
                path=str(path),
                problem=f"is shard {header.i_shard + 1} of {header.n_shards} by its header and "
                f"{i + 1} of {len(paths)} by its name",
            )
    if not headers[0].architecture:
        raise ModelFileError(path=str(paths[0]), problem="names no architecture")
    if not any(each.tensors for each in headers):
        raise ModelFileError(path=str(paths[0]), problem="has no weights, only a vocabulary")


def _walk(folder: Path, prefix: str, depth: int) -> Iterator[str]:
    # Paths from the root, with slashes.
    if depth < 0:
        raise ModelFileError(path=str(folder), problem=f"is more than {MAX_DEPTH} folders deep")
    with user_file_errors(folder):
        entries = sorted(os.scandir(folder), key=lambda each: each.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        with user_file_errors(path):
            mode = entry.stat(follow_symlinks=False).st_mode
        _check_entry(path, mode)
        if stat.S_ISDIR(mode):
            yield from _walk(path, f"{prefix}{entry.name}/", depth - 1)
        else:
            yield prefix + entry.name


def _check_entry(path: Path, mode: int) -> None:
    if leaves_folder(path.name) or not path.name.isprintable():
        problem = "has a name that other systems cannot have: rename it"
        raise ModelFileError(path=ascii(str(path)), problem=problem)
    if stat.S_ISLNK(mode):
        problem = "is a symbolic link; copy the folder with 'cp -rL' and package the copy"
        raise ModelFileError(path=str(path), problem=problem)
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ModelFileError(path=str(path), problem="is no regular file")


def _folder_type(name: str) -> str:
    # The classes of the reference, section 2.8, by the file's name.
    last = name.rpartition("/")[2].lower()
    if last.endswith(".safetensors"):
        return artifact.SAFETENSORS
    if last.endswith(".jinja"):
        return artifact.CHAT_TEMPLATE
    if any(word in last for word in _LICENSE_WORDS):
        return artifact.LICENSE
    return artifact.MODEL_FILE


def _safetensors_config(folder: Path, weights: Sequence[Path]) -> ModelConfig:
    headers = [safetensors.read_header(each) for each in weights]
    beside = safetensors.read_config_json(folder / "config.json")
    dtypes: Counter[str] = sum((each.dtypes for each in headers), Counter())
    metadata = {key: value for each in reversed(headers) for key, value in each.metadata.items()}
    model_type = beside.get("model_type")
    return ModelConfig(
        format="safetensors",
        quantization=next(iter(dtypes), "unknown") if len(dtypes) < 2 else "mixed",
        parameters=gguf.parameters_text(sum(each.n_params for each in headers)),
        architecture=model_type if isinstance(model_type, str) else "",
        size=units.format_bytes(sum(each.stat().st_size for each in weights)),
        safetensors=metadata | {"tensor_count": str(dtypes.total())},
        context_size=safetensors.context_size(beside),
    )
