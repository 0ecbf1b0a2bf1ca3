"""What a GGUF header holds, as values."""

from dataclasses import dataclass, field
from typing import Any

from pyrunner.gguf.types import FILE_TYPES

Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class GgufArray:
    """An array of the metadata."""

    n_elements: int
    values: tuple[Scalar, ...] | None
    """None when there are more than `reader.MAX_KEPT_ELEMENTS`."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One row of the tensor table."""

    name: str
    shape: tuple[int, ...]
    """Fastest-moving dimension first, as in ggml."""
    type_name: str
    offset: int
    """Bytes from `GgufHeader.data_offset`."""
    size_bytes: int

    @property
    def n_elements(self) -> int:
        """Numbers in the tensor."""
        return product(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What a GGUF file says about itself; of a sharded model, what one shard says."""

    version: int
    metadata: dict[str, Scalar | GgufArray] = field(repr=False)
    tensors: tuple[TensorInfo, ...] = field(repr=False)
    alignment: int
    data_offset: int
    file_bytes: int

    @property
    def architecture(self) -> str:
        """``general.architecture``; empty in all shards but the first."""
        return self.text("general.architecture")

    @property
    def n_params(self) -> int:
        """Numbers in all tensors of this file."""
        return sum(each.n_elements for each in self.tensors)

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors of this file."""
        return sum(each.size_bytes for each in self.tensors)

    @property
    def n_ctx_train(self) -> int:
        """The longest context the model was trained for, 0 when unknown."""
        return self.integer(f"{self.architecture}.context_length")

    @property
    def n_shards(self) -> int:
        """How many files the model has."""
        return max(1, self.integer("split.count"))

    @property
    def i_shard(self) -> int:
        """Which of them this is, from 0."""
        return self.integer("split.no")

    @property
    def quantization(self) -> str:
        """Name of the quantisation: ``Q4_K_M``; without ``general.file_type`` the main type."""
        named = FILE_TYPES.get(self.integer("general.file_type", -1))
        if named is not None:
            return named
        sizes: dict[str, int] = {}
        for each in self.tensors:
            sizes[each.type_name] = sizes.get(each.type_name, 0) + each.size_bytes
        return max(sizes, key=lambda name: sizes[name], default="")

    def text(self, key: str) -> str:
        """A string of the metadata, empty when absent or of another type."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def integer(self, key: str, default: int = 0) -> int:
        """A whole number of the metadata, `default` when absent or of another type."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def integers(self, key: str) -> tuple[int, ...]:
        """A number, or an array of them, as a tuple; empty when absent or of another type."""
        value = self.metadata.get(key)
        found: tuple[Any, ...] = (value,)
        if isinstance(value, GgufArray):
            found = value.values or ()
        return tuple(each for each in found if isinstance(each, int))


def product(shape: tuple[int, ...]) -> int:
    """How many numbers a tensor of this shape has."""
    n_elements = 1
    for each in shape:
        n_elements *= each
    return n_elements
