"""GGUF files for tests of the header reader and the store: real tiny ones, and hostile ones."""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np

UINT8, INT8, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 0, 1, 4, 5, 6, 7, 8, 9, 10


def write_tiny_gguf(
    path: Path, *, n_vocab: int = 8, architecture: str = "llama", n_ctx_train: int = 512
) -> Path:
    """A valid file with one F32 tensor of 64 x `n_vocab`; no engine could run it.

    256 bytes per token of the vocabulary, so it can be made as large as a test needs.
    """
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name("tiny")
    writer.add_block_count(2)
    writer.add_context_length(n_ctx_train)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_add_bos_token(True)
    writer.add_token_list([f"token {i}" for i in range(n_vocab)])
    numbers = np.arange(n_vocab * 64, dtype=np.float32).reshape(n_vocab, 64)
    writer.add_tensor("token_embd.weight", numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_shards(folder: Path, n_shards: int) -> list[Path]:
    """Shards named as llama.cpp names them; only the first says what the model is."""
    paths = []
    for i in range(n_shards):
        path = folder / f"big-{i + 1:05}-of-{n_shards:05}.gguf"
        parts = GgufBytes()
        if i == 0:
            parts.text("general.architecture", "llama").number("llama.context_length", 2048)
        parts.number("split.no", i).number("split.count", n_shards)
        parts.tensor(f"blk.{i}.weight", (64,))
        path.write_bytes(parts.build())
        paths.append(path)
    return paths


@dataclass
class GgufBytes:
    """Puts a file together piece by piece; every number can be made to lie."""

    magic: bytes = b"GGUF"
    version: int = 3
    n_tensors: int | None = None
    n_keys: int | None = None
    alignment: int = 32
    keys: list[bytes] = field(default_factory=list)
    tensors: list[bytes] = field(default_factory=list)
    data: bytes = b""

    def key(self, name: str, kind: int, value: bytes) -> "GgufBytes":
        """A metadata entry with these raw bytes as its value."""
        self.keys.append(string(name) + struct.pack("<I", kind) + value)
        return self

    def text(self, name: str, value: str) -> "GgufBytes":
        return self.key(name, STRING, string(value))

    def number(self, name: str, value: int) -> "GgufBytes":
        return self.key(name, UINT32, struct.pack("<I", value))

    def numbers(self, name: str, values: list[int]) -> "GgufBytes":
        packed = struct.pack(f"<{len(values)}i", *values)
        return self.key(name, ARRAY, struct.pack("<IQ", INT32, len(values)) + packed)

    def tensor(
        self, name: str, shape: tuple[int, ...], *, kind: int = 0, offset: int | None = None
    ) -> "GgufBytes":
        """A row of the tensor table; F32 data of its size follows the others."""
        row = string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        at = len(self.data) if offset is None else offset
        self.tensors.append(row + struct.pack("<IQ", kind, at))
        n_bytes = 4
        for each in shape:
            n_bytes *= each
        if n_bytes < 2**20:
            self.data += bytes(-(-n_bytes // self.alignment) * self.alignment)
        return self

    def build(self) -> bytes:
        n_tensors = len(self.tensors) if self.n_tensors is None else self.n_tensors
        n_keys = len(self.keys) if self.n_keys is None else self.n_keys
        head = self.magic + struct.pack("<IQQ", self.version, n_tensors, n_keys)
        head += b"".join(self.keys) + b"".join(self.tensors)
        return head + bytes(-len(head) % self.alignment) + self.data


def string(text: str) -> bytes:
    """A length and UTF-8, as GGUF has them."""
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded
