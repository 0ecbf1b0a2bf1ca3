"""The GGUF reader against damaged headers: a header whose numbers hold, or a clear error.

``PYTEST_SEED`` starts elsewhere; a failure names the seed of its file.
"""

import io
import itertools
import os
import random
import struct
import tracemalloc

import msgspec
import pytest
from support.gguf_damage import NUMBERS, damaged
from support.gguf_files import ARRAY, BOOL, UINT8, UINT64, GgufBytes, string, write_tiny_gguf

from pyrunner.errors import ModelFileError
from pyrunner.gguf import GgufArray, GgufHeader, kv_bytes
from pyrunner.gguf.reader import MAX_KEPT_ELEMENTS, MAX_KEPT_IN_ALL, MAX_KEYS, parse_header
from pyrunner.models.package_sources import gguf_config

N_FILES = 400
SEED = int(os.environ.get("PYTEST_SEED", "0"))


def _read(content: bytes) -> GgufHeader:
    return parse_header(io.BytesIO(content), path="x", size_bytes=len(content))


def _shard() -> bytes:
    parts = GgufBytes().text("general.architecture", "llama").number("llama.block_count", 2)
    parts.numbers("llama.attention.head_count", [4, 2]).number("general.alignment", 64)
    parts.number("split.count", 2).number("split.no", 0)
    parts.alignment = 64
    return parts.tensor("blk.0.a", (32, 2)).tensor("blk.1.b", (7,)).build()


def _check(content: bytes, outcomes: set[str]) -> None:
    try:
        header = _read(content)
    except ModelFileError as error:
        outcomes.add(str(error)[:3])
        return
    ends = [header.data_offset + each.offset + each.size_bytes for each in header.tensors]
    assert max(ends, default=0) <= len(content)
    assert [each.offset for each in header.tensors] == sorted(
        each.offset for each in header.tensors
    )
    assert all(each < 2**62 for tensor in header.tensors for each in tensor.shape)
    # What follows from a header must not fail on any that was accepted.
    assert kv_bytes(header, 512, 4) >= 0
    assert msgspec.json.encode(gguf_config([header]))
    outcomes.add("read")


@pytest.mark.parametrize("kind", ["real", "shard"])
def test_damaged_header_is_read_rightly_or_refused(tmp_path, kind):
    content = write_tiny_gguf(tmp_path / "t.gguf").read_bytes() if kind == "real" else _shard()
    n_header = _read(content).data_offset
    outcomes: set[str] = set()
    for seed in range(SEED, SEED + N_FILES):
        try:
            _check(damaged(random.Random(seed), content, n_header), outcomes)
        except Exception as error:  # whatever it is, it has to name its seed
            error.add_note(f"{kind} file of seed {seed}")
            raise
    assert outcomes == {"read", "x: "}


def test_any_number_anywhere_in_a_header_is_read_rightly_or_refused():
    # So small that every place is tried; the tensor is the one whose shape is looked at.
    parts = GgufBytes().text("general.architecture", "llama").tensor("token_embd.weight", (1,))
    content = parts.build()
    outcomes: set[str] = set()
    for at in range(_read(content).data_offset):
        for number, n_bytes in itertools.product(NUMBERS, (4, 8)):
            lie = (number % (1 << 8 * n_bytes)).to_bytes(n_bytes, "little")
            try:
                _check(content[:at] + lie + content[at + n_bytes :], outcomes)
            except Exception as error:  # as above: whatever it is, it has to name its place
                error.add_note(f"{number} in {n_bytes} bytes at {at}")
                raise
    assert outcomes == {"read", "x: "}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (GgufBytes().key("general.alignment", BOOL, b"\1"), "general.alignment of the type 7"),
        (GgufBytes().key("general.alignment", UINT64, struct.pack("<Q", 32)), "of the type 10"),
        (GgufBytes().key("general.alignment", ARRAY, struct.pack("<IQ", 4, 0)), "of the type 9"),
        (GgufBytes().text("", "x"), "empty key"),
        (GgufBytes(n_keys=MAX_KEYS + 1), f"at most {MAX_KEYS}"),
        (GgufBytes().tensor("t", (2**63, 0), offset=0), "impossible shape"),
        (GgufBytes().tensor("t", (2**40, 2**40, 0), offset=0), "impossible shape"),
    ],
)
def test_what_llama_cpp_refuses_is_refused_here_first(parts, said):
    with pytest.raises(ModelFileError, match=said):
        _read(parts.build())


def test_many_arrays_are_not_all_kept():
    array = struct.pack("<IQ", UINT8, MAX_KEPT_ELEMENTS) + bytes(MAX_KEPT_ELEMENTS)
    parts = GgufBytes()
    n_arrays = 2 * MAX_KEPT_IN_ALL // MAX_KEPT_ELEMENTS
    for i in range(n_arrays):
        parts.key(f"k{i}", ARRAY, array)
    content = parts.build()
    tracemalloc.start()
    try:
        header = _read(content)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    arrays = [each for each in header.metadata.values() if isinstance(each, GgufArray)]
    assert sum(len(each.values or ()) for each in arrays) == MAX_KEPT_IN_ALL
    assert len(header.metadata) == n_arrays
    assert peak_bytes < 16 * 1024 * 1024


def test_one_long_array_of_strings_is_gone_over():
    array = struct.pack("<IQ", 8, MAX_KEPT_ELEMENTS + 1) + string("x") * (MAX_KEPT_ELEMENTS + 1)
    header = _read(GgufBytes().key("k", ARRAY, array).text("after", "y").build())
    assert header.metadata["k"] == GgufArray(MAX_KEPT_ELEMENTS + 1, None)
    assert header.text("after") == "y"
