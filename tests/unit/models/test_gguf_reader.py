"""The bounded GGUF reader, on real files and on files that lie."""

import importlib.util
import io
import os
import random
import re
import struct
import tracemalloc
from types import ModuleType

import gguf as gguf_package
import pytest
from support.gguf_files import ARRAY, STRING, UINT8, UINT32, GgufBytes, write_tiny_gguf
from support.tree import ROOT

from pyrunner.errors import ModelFileError
from pyrunner.gguf import GgufArray, GgufHeader, read_header
from pyrunner.gguf.reader import parse_header
from pyrunner.gguf.types import CACHE_TYPES, FILE_TYPES, TENSOR_TYPES


def _header_of(content: bytes) -> GgufHeader:
    return parse_header(io.BytesIO(content), path="model.gguf", size_bytes=len(content))


def _pinned() -> ModuleType:
    """The constants of the gguf package in the pinned llama.cpp."""
    path = ROOT / "llama.cpp" / "gguf-py" / "gguf" / "constants.py"
    spec = importlib.util.spec_from_file_location("pinned_gguf_constants", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _whole() -> GgufBytes:
    parts = GgufBytes().text("general.architecture", "llama").number("llama.block_count", 2)
    return parts.tensor("a", (64, 2)).tensor("b", (3,))


def test_reader_agrees_with_the_gguf_package(tmp_path):
    path = write_tiny_gguf(tmp_path / "m.gguf", n_vocab=2000)
    header = read_header(path)
    theirs = gguf_package.GGUFReader(path)
    assert header.n_params == sum(int(each.n_elements) for each in theirs.tensors)
    assert [(each.name, each.size_bytes) for each in header.tensors] == [
        (each.name, int(each.n_bytes)) for each in theirs.tensors
    ]
    assert header.data_offset == theirs.data_offset
    assert set(header.metadata) == {name for name in theirs.fields if not name.startswith("GGUF.")}
    assert header.metadata["tokenizer.ggml.tokens"] == GgufArray(2000, None)
    assert (header.architecture, header.n_ctx_train, header.quantization) == ("llama", 512, "F32")
    assert header.metadata["tokenizer.ggml.add_bos_token"] is True


def test_tensor_types_are_those_of_the_pinned_llama_cpp():
    pinned = _pinned()
    theirs = {
        int(kind): (kind.name, *pinned.GGML_QUANT_SIZES[kind])
        for kind in pinned.GGMLQuantizationType
    }
    assert {kind: tuple(row) for kind, row in TENSOR_TYPES.items()} == theirs


def test_cell_types_are_those_of_the_pinned_llama_cpp():
    source = (ROOT / "llama.cpp" / "common" / "arg.cpp").read_text()
    (block,) = re.findall(r"kv_cache_types = \{(.*?)\};", source, re.DOTALL)
    theirs = re.findall(r"GGML_TYPE_(\w+)", block)
    assert {name.lower() for name in theirs} == CACHE_TYPES.keys()
    assert {name: TENSOR_TYPES[number].name.lower() for name, number in CACHE_TYPES.items()} == {
        name: name for name in CACHE_TYPES
    }


def test_file_types_are_those_of_the_pinned_llama_cpp():
    theirs = {
        int(kind): kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")
        for kind in _pinned().LlamaFileType
        if kind.name != "GUESSED"
    }
    assert theirs == FILE_TYPES


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_are_read(version):
    parts = _whole()
    parts.version = version
    header = _header_of(parts.build())
    assert header.version == version
    assert [(each.name, each.shape, each.offset) for each in header.tensors] == [
        ("a", (64, 2), 0),
        ("b", (3,), 512),
    ]


def test_file_cut_anywhere_is_refused_and_never_misread():
    content = _whole().build()
    padding = 32 - 12  # after the last tensor's 12 bytes
    for n_bytes in range(len(content) - padding):
        with pytest.raises(ModelFileError):
            _header_of(content[:n_bytes])
    assert _header_of(content[:-padding]).tensors


def test_random_damage_gives_a_header_or_a_clear_error():
    content = _whole().build()
    seed = int(os.environ.get("PYTEST_SEED", "0"))
    dice = random.Random(seed)
    outcomes = set()
    for _ in range(1500):
        damaged = bytearray(content)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(200)] = dice.randrange(256)
        try:
            _header_of(bytes(damaged))
            outcomes.add("read")
        except ModelFileError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}, f"seed {seed}"


HUGE = struct.pack("<Q", 2**63 - 1)
LIES = {
    "tensors": (GgufBytes(n_tensors=2**64 - 1), "tensors"),
    "keys": (GgufBytes(n_keys=2**64 - 1), "metadata keys"),
    "keys beyond the end": (GgufBytes(n_keys=4000), "empty key"),
    "string": (GgufBytes().key("k", STRING, HUGE), "claims"),
    "string beyond the end": (GgufBytes().key("k", STRING, struct.pack("<Q", 10**6)), "truncated"),
    "array": (GgufBytes().key("k", ARRAY, struct.pack("<I", UINT8) + HUGE), "truncated"),
    "array of strings": (GgufBytes().key("k", ARRAY, struct.pack("<I", STRING) + HUGE), "strings"),
    "array whose size wraps": (
        GgufBytes().key("k", ARRAY, struct.pack("<IQ", UINT32, 2**62)),
        "truncated",
    ),
    "string inside an array": (
        GgufBytes().key("k", ARRAY, struct.pack("<IQ", STRING, 1) + HUGE),
        "claims",
    ),
    "string inside a long array": (
        GgufBytes().key("k", ARRAY, struct.pack("<IQ", STRING, 2000) + HUGE + bytes(16_000)),
        "truncated",
    ),
    "shape": (GgufBytes().tensor("t", (2**63, 2), offset=0), "shape"),
    "shape whose product wraps": (GgufBytes().tensor("t", (2**32, 2**32), offset=0), "shape"),
    "tensor larger than the file": (GgufBytes().tensor("t", (2**40,), offset=0), "truncated"),
    "dimensions": (GgufBytes().tensor("t", (1,) * 5), "dimensions"),
    "block size": (GgufBytes().tensor("t", (33,), kind=8), "shape"),
    "unknown tensor type": (GgufBytes().tensor("t", (32,), kind=4), "type 4"),
    "unknown value type": (GgufBytes().key("k", 13, b""), "type 13"),
    "unknown array type": (GgufBytes().key("k", ARRAY, struct.pack("<IQ", 99, 1)), "type 99"),
    "offset outside": (GgufBytes().tensor("t", (8,), offset=2**40), "instead of 0"),
    "overlapping tensors": (GgufBytes().tensor("a", (64,)).tensor("b", (64,), offset=0), "256"),
    "unaligned tensor": (GgufBytes().tensor("a", (1,)).tensor("b", (1,), offset=4), "32"),
    "same key twice": (GgufBytes().number("k", 1).number("k", 2), "twice"),
    "same tensor twice": (GgufBytes().tensor("t", (8,)).tensor("t", (8,)), "twice"),
    "NUL in a key": (GgufBytes().number("k\0x", 1), r"metadata key holds a NUL .*'k\\x00x'"),
    "NUL in a tensor name": (GgufBytes().tensor("t\0x", (8,)), r"tensor name holds a NUL"),
    "NUL in the architecture": (
        GgufBytes().text("general.architecture", "llama\0x"),
        "the value of 'general.architecture' holds a NUL",
    ),
    "long tensor name": (GgufBytes().tensor("t" * 64, (8,)), "tensor name"),
    "alignment 0": (GgufBytes().number("general.alignment", 0), "alignment"),
    "alignment 3": (GgufBytes().number("general.alignment", 3), "alignment"),
    "alignment text": (GgufBytes().text("general.alignment", "32"), "alignment"),
    "huge alignment": (GgufBytes().number("general.alignment", 2**31), "alignment"),
    "nested arrays": (
        GgufBytes().key("k", ARRAY, struct.pack("<IQ", ARRAY, 1) + struct.pack("<IQ", UINT8, 0)),
        "nested",
    ),
    "deeply nested arrays": (
        GgufBytes().key("k", ARRAY, struct.pack("<IQ", ARRAY, 1) * 50_000),
        "nested",
    ),
    "version 1": (GgufBytes(version=1), "version 1"),
    "big-endian": (GgufBytes(version=0x03000000), "big-endian"),
    "other magic": (GgufBytes(magic=b"GGML"), "starts with"),
}


@pytest.mark.parametrize(("parts", "said"), LIES.values(), ids=LIES)
def test_lie_is_refused_with_a_reason_and_without_the_memory_it_asks_for(parts, said):
    content = parts.build()
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=said):
            _header_of(content)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * 1024 * 1024


def test_long_strings_and_arrays_across_window_borders_are_read():
    tokens = [b"x" * (i % 700) for i in range(6000)]
    packed = b"".join(struct.pack("<Q", len(each)) + each for each in tokens)
    parts = GgufBytes().key("tokens", ARRAY, struct.pack("<IQ", STRING, 6000) + packed)
    parts.key("scores", ARRAY, struct.pack("<IQ", UINT8, 3 * 2**20) + bytes(3 * 2**20))
    parts.text("template", "t" * (2**21)).number("last", 7)
    header = _header_of(parts.build())
    assert header.metadata["last"] == 7
    assert len(header.text("template")) == 2**21
    assert header.metadata["scores"] == GgufArray(3 * 2**20, None)


def test_text_that_is_no_utf8_is_kept_readable():
    header = _header_of(GgufBytes().key("k", STRING, struct.pack("<Q", 2) + b"\xff\xfe").build())
    assert header.text("k") == "\ufffd\ufffd"


def test_text_may_hold_a_nul_and_a_token_be_one():
    tokens = struct.pack("<IQ", STRING, 2) + struct.pack("<Q", 1) + b"\0" + struct.pack("<Q", 0)
    header = _header_of(GgufBytes().text("template", "a\0b").key("t", ARRAY, tokens).build())
    assert header.text("template") == "a\0b"
    assert header.metadata["t"] == GgufArray(2, ("\0", ""))


def test_metadata_of_another_type_reads_as_absent():
    header = _header_of(GgufBytes().text("n", "5").number("t", 5).build())
    assert (header.integer("n"), header.text("t"), header.integers("n")) == (0, "", ())


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"GGUF", b"A long enough text file, but no model at all.\n" * 9]
)
def test_file_that_is_no_gguf_is_refused(content):
    with pytest.raises(ModelFileError, match="is no GGUF file"):
        _header_of(content)


def test_path_that_is_no_file_is_refused(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, said in [
        (tmp_path, "a folder"),
        (fifo, "no regular file"),
        (tmp_path / "missing", "no such file"),
        (tmp_path / "a\0b", "null"),
    ]:
        with pytest.raises(ModelFileError, match=said):
            read_header(path)
