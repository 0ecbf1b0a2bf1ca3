"""Reading the header of a safetensors file, bounded: eight bytes of length, then JSON.

Format as described in the README of huggingface/safetensors. Nothing of the weights is read.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Annotated, Any, Never

import msgspec

from pyrunner.errors import REFETCH, ModelFileError
from pyrunner.models.artifact import MAX_CONTEXT_SIZE
from pyrunner.user_files import user_file_errors

MAX_HEADER_BYTES = 32 * 1024 * 1024
"""Longest header read; the format allows 100 MB, the largest known models need 1."""
MAX_CONFIG_JSON_BYTES = 4 * 1024 * 1024
"""Largest ``config.json`` that is looked into."""
MAX_DIMENSIONS = 8
_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_CONTEXT_KEYS = (
    "max_position_embeddings",
    "n_ctx",
    "n_positions",
    "max_length",
    "max_sequence_length",
    "model_max_length",
)
"""Of ``config.json``, the first that is there (reference, section 2.3)."""

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[_Number]
    data_offsets: tuple[_Number, _Number]


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetensorsHeader:
    """What one file says about itself."""

    metadata: dict[str, str]
    n_params: int
    dtypes: Counter[str]
    """How many tensors have each type."""


def read_header(path: Path) -> SafetensorsHeader:
    """Read and check the header of one file.

    Raises:
        ModelFileError: No safetensors file, damaged or truncated; or it cannot be opened.
    """
    with user_file_errors(path), path.open("rb", buffering=0) as file:
        size_bytes = path.stat().st_size
        content = _header_bytes(file, path, size_bytes)
        data_bytes = size_bytes - _LENGTH_BYTES - len(content)
    try:
        document = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        metadata = msgspec.json.decode(document.pop(_METADATA, b"{}"), type=dict[str, str])
        tensors = {name: msgspec.json.decode(raw, type=_Tensor) for name, raw in document.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse(path, f"has a header that cannot be read ({error})")
    for name, tensor in tensors.items():
        _check(path, name, tensor, data_bytes)
    return SafetensorsHeader(
        metadata=metadata,
        n_params=sum(_n_elements(each) for each in tensors.values()),
        dtypes=Counter(each.dtype for each in tensors.values()),
    )


def context_size(config: Mapping[str, Any]) -> int | None:
    """The context that a ``config.json`` names, None when it names none we can use."""
    found = next((config[key] for key in _CONTEXT_KEYS if key in config), None)
    if not isinstance(found, int) or isinstance(found, bool):
        return None
    return found if 0 < found <= MAX_CONTEXT_SIZE else None


def read_config_json(path: Path) -> dict[str, Any]:
    """The ``config.json`` beside the weights; empty when there is none.

    Raises:
        ModelFileError: It is no JSON object, or larger than `MAX_CONFIG_JSON_BYTES`.
    """
    if not path.exists():
        return {}
    with user_file_errors(path), path.open("rb") as file:
        content = file.read(MAX_CONFIG_JSON_BYTES + 1)
    if len(content) > MAX_CONFIG_JSON_BYTES:
        _refuse(path, f"is larger than {MAX_CONFIG_JSON_BYTES} bytes")
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse(path, f"is no JSON object ({error})")


def _header_bytes(file: FileIO, path: Path, size_bytes: int) -> bytes:
    start = file.read(_LENGTH_BYTES)
    length = int.from_bytes(start, "little")
    if len(start) < _LENGTH_BYTES or length > size_bytes - _LENGTH_BYTES:
        _refuse(path, "is no safetensors file, or truncated: its header ends behind the file")
    if length > MAX_HEADER_BYTES:
        _refuse(path, f"has a header of more than {MAX_HEADER_BYTES} bytes")
    content = file.read(length)
    if len(content) < length:
        _refuse(path, "became shorter while it was read")
    return content


def _check(path: Path, name: str, tensor: _Tensor, data_bytes: int) -> None:
    start, end = tensor.data_offsets
    if not start <= end <= data_bytes:
        _refuse(path, f"is truncated: tensor {name[:100]!r} ends at {end} of {data_bytes} bytes")
    if len(tensor.shape) > MAX_DIMENSIONS or _n_elements(tensor) >= 2**62:
        _refuse(path, f"has tensor {name[:100]!r} of an impossible shape")


def _n_elements(tensor: _Tensor) -> int:
    n_elements = 1
    for each in tensor.shape:
        n_elements *= each
    return n_elements


def _refuse(path: Path, problem: str) -> Never:
    raise ModelFileError(path=str(path), problem=problem, remedy=REFETCH)
