"""Reading the header of a GGUF file: metadata and tensor table, nothing of the weights.

Our own bounded reader, which every file passes before native code sees it. It accepts what the
pinned llama.cpp accepts of versions 2 and 3, and refuses with a reason everything else.
"""

import os
import stat
import struct
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from pyrunner.errors import ModelFileError
from pyrunner.gguf.cursor import Cursor
from pyrunner.gguf.header import GgufArray, GgufHeader, Scalar, TensorInfo, product
from pyrunner.gguf.types import TENSOR_TYPES
from pyrunner.user_files import printable, user_file_errors

MAX_KEYS = 4096
"""Real files have fewer than a hundred."""
MAX_TENSORS = 131_072
MAX_KEY_BYTES = 65_535
MAX_STRING_BYTES = 16 * 1024 * 1024
MAX_TENSOR_NAME_BYTES = 63
MAX_DIMENSIONS = 4
MAX_KEPT_ELEMENTS = 1024
"""Arrays up to this length keep their values; of longer ones only the length is known."""
MAX_KEPT_IN_ALL = 256 * 1024
"""So many elements of all arrays together; the values of further ones are not kept either."""

_MAGIC = b"GGUF"
_DEFAULT_ALIGNMENT = 32
_MAX_ALIGNMENT = 1024 * 1024
_STRING, _ARRAY = 8, 9
_ALIGNMENT = "general.alignment"
_ARCHITECTURE = "general.architecture"
_FIXED_KINDS = {_ALIGNMENT: (4, "uint32"), "adapter.lora.alpha": (6, "float32")}
"""llama.cpp aborts over another type here, or takes it for nothing."""
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of one file. Walks through its vocabulary.

    Raises:
        ModelFileError: No GGUF file, damaged, truncated, of a version or with types that the
            engine does not know; or the file cannot be opened.
    """
    with user_file_errors(path), open_file(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        return parse_header(file, path=printable(path), size_bytes=size_bytes)


def open_file(path: Path) -> FileIO:
    """Open a regular file for reading, without a buffer.

    Raises:
        ModelFileError: It is a folder, a pipe, or another thing that is no file.
        OSError: As of `open`.
    """
    mode = path.stat().st_mode  # before it is opened, which would wait at a pipe
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise ModelFileError(path=printable(path), problem=f"is {what}")
    return path.open("rb", buffering=0)


def parse_header(file: BinaryIO, *, path: str, size_bytes: int) -> GgufHeader:
    """Read and check the header of an open file.

    Args:
        file: At its start; seekable.
        path: Whom errors name.
        size_bytes: How long the file is.

    Raises:
        ModelFileError: As `read_header`.
    """
    cursor = Cursor(file, path=path, size_bytes=size_bytes)
    version = _version(cursor)
    n_tensors = _count(cursor, "tensors", MAX_TENSORS)
    n_keys = _count(cursor, "metadata keys", MAX_KEYS)
    metadata = _metadata(cursor, n_keys)
    alignment = _alignment(cursor, metadata)
    tensors = _tensors(cursor, n_tensors, alignment)
    data_offset = _pad(cursor.position, alignment)
    if tensors and data_offset + tensors[-1].offset + tensors[-1].size_bytes > cursor.size_bytes:
        cursor.refuse(
            f"is truncated: tensor {tensors[-1].name[:100]!r} ends at "
            f"{data_offset + tensors[-1].offset + tensors[-1].size_bytes}, "
            f"the file at {cursor.size_bytes}"
        )
    return GgufHeader(
        version=version,
        metadata=metadata,
        tensors=tensors,
        alignment=alignment,
        data_offset=data_offset,
        file_bytes=cursor.size_bytes,
    )


def _version(cursor: Cursor) -> int:
    if cursor.size_bytes < 24:
        cursor.refuse(f"is no GGUF file: it has {cursor.size_bytes} bytes")
    magic = cursor.take(4)
    if magic != _MAGIC:
        cursor.refuse(f"is no GGUF file: it starts with {magic!r}")
    version = cursor.unsigned(4)
    if version not in {2, 3}:
        is_swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in {2, 3}
        problem = "is big-endian" if is_swapped else f"has version {version}"
        cursor.refuse(f"is a GGUF file that {problem}; versions 2 and 3 are supported")
    return version


def _count(cursor: Cursor, what: str, limit: int) -> int:
    count = cursor.unsigned(8)
    if count > limit:
        cursor.refuse(f"claims {count} {what}, at most {limit} are allowed")
    return count


def _metadata(cursor: Cursor, n_keys: int) -> dict[str, Scalar | GgufArray]:
    metadata: dict[str, Scalar | GgufArray] = {}
    n_kept = 0
    for _ in range(n_keys):
        key = _name(cursor, max_bytes=MAX_KEY_BYTES, what="a metadata key")
        if not key or key in metadata:
            cursor.refuse(
                f"has the metadata key {key[:100]!r} twice" if key else "has an empty key"
            )
        kind = cursor.unsigned(4)
        fixed, name = _FIXED_KINDS.get(key, (kind, ""))
        if kind != fixed:
            cursor.refuse(f"has {key} of the type {kind}, which is not {name}")
        if kind == _ARRAY:
            array = _array(cursor, key, min(MAX_KEPT_ELEMENTS, MAX_KEPT_IN_ALL - n_kept))
            n_kept += len(array.values or ())
            metadata[key] = array
        else:
            metadata[key] = _scalar(cursor, kind, key)
    return metadata


def _name(cursor: Cursor, *, max_bytes: int, what: str) -> str:
    """A string that llama.cpp compares up to its first NUL, so that we would read another one."""
    name = cursor.string(max_bytes=max_bytes, what=what)
    if "\0" in name:
        cursor.refuse(f"{what} holds a NUL character: {name[:100]!r}")
    return name


def _scalar(cursor: Cursor, kind: int, key: str) -> Scalar:
    if kind == _STRING:
        read = _name if key == _ARCHITECTURE else Cursor.string  # it is part of further keys
        return read(cursor, max_bytes=MAX_STRING_BYTES, what=f"the value of {key[:100]!r}")
    packed = _SCALARS.get(kind)
    if packed is None:
        cursor.refuse(f"has a value of the unknown type {kind} at {key[:100]!r}")
    value: Scalar = packed.unpack(cursor.take(packed.size))[0]
    return value


def _array(cursor: Cursor, key: str, max_kept: int) -> GgufArray:
    kind = cursor.unsigned(4)
    n_elements = cursor.unsigned(8)
    if kind == _ARRAY:
        cursor.refuse(f"has nested arrays at {key[:100]!r}")
    packed = _SCALARS.get(kind)
    if packed is None and kind != _STRING:
        cursor.refuse(f"has a value of the unknown type {kind} at {key[:100]!r}")
    if n_elements > max_kept:
        if packed is None:
            cursor.skip_strings(n_elements)
        else:
            cursor.skip(n_elements * packed.size)
        return GgufArray(n_elements, None)
    if packed is None:
        return GgufArray(n_elements, tuple(_scalar(cursor, kind, key) for _ in range(n_elements)))
    content = cursor.take(n_elements * packed.size)
    return GgufArray(n_elements, tuple(each for (each,) in packed.iter_unpack(content)))


def _alignment(cursor: Cursor, metadata: dict[str, Scalar | GgufArray]) -> int:
    alignment = metadata.get(_ALIGNMENT, _DEFAULT_ALIGNMENT)
    if (
        not isinstance(alignment, int)
        or not 0 < alignment <= _MAX_ALIGNMENT
        or alignment & (alignment - 1)
    ):
        cursor.refuse(f"has the alignment {alignment!r}, which is no power of two")
    return alignment


def _tensors(cursor: Cursor, n_tensors: int, alignment: int) -> tuple[TensorInfo, ...]:
    tensors: dict[str, TensorInfo] = {}
    expected_offset = 0
    for _ in range(n_tensors):
        tensor = _tensor(cursor)
        label = repr(tensor.name)
        if tensor.name in tensors:
            cursor.refuse(f"has the tensor {label} twice")
        # llama.cpp insists on this too; it rules out tensors that overlap.
        if tensor.offset != expected_offset:
            cursor.refuse(f"has tensor {label} at {tensor.offset} instead of {expected_offset}")
        expected_offset = _pad(tensor.offset + tensor.size_bytes, alignment)
        tensors[tensor.name] = tensor
    return tuple(tensors.values())


def _tensor(cursor: Cursor) -> TensorInfo:
    name = _name(cursor, max_bytes=MAX_TENSOR_NAME_BYTES, what="a tensor name")
    n_dimensions = cursor.unsigned(4)
    if n_dimensions > MAX_DIMENSIONS:
        cursor.refuse(f"has tensor {name!r} with {n_dimensions} dimensions")
    shape = tuple(cursor.unsigned(8) for _ in range(n_dimensions))
    type_id = cursor.unsigned(4)
    kind = TENSOR_TYPES.get(type_id)
    if kind is None:
        cursor.refuse(f"has tensor {name!r} of the unknown type {type_id}")
    n_first = shape[0] if shape else 1
    # Of the dimensions that are not 0, because llama.cpp multiplies them one by one.
    n_largest = product(tuple(max(1, each) for each in shape))
    if n_first % kind.n_per_block or n_largest >= 2**62:
        cursor.refuse(f"has tensor {name!r} of the impossible shape {shape}")
    size_bytes = product(shape) // kind.n_per_block * kind.block_bytes
    return TensorInfo(name, shape, kind.name, cursor.unsigned(8), size_bytes)


def _pad(position: int, alignment: int) -> int:
    return (position + alignment - 1) // alignment * alignment
