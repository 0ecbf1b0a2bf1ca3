"""LoRA adapters with random numbers for a model file, and what the model is with one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from pyrunner._native import Model
from pyrunner.engine.adapter_file import open_adapter
from pyrunner.engine.adapters import LoadedAdapter
from pyrunner.gguf import FileStamp, TensorInfo, read_header

Matrix = npt.NDArray[np.float32]

ADAPTED = ("attn_q", "attn_v", "attn_output", "ffn_down")
"""Of each block."""
ADAPTER_SEEDS = {"one": 1, "two": 2}
"""Of the adapters that tests have by these names."""
RANK = 4
ALPHA = 8.0


def write_adapter(
    path: Path,
    model: Path,
    *,
    seed: int,
    architecture: str = "llama",
    edit: Callable[[gguf.GGUFWriter, dict[str, Matrix]], None] | None = None,
) -> Path:
    """Write an adapter of a model with F32 weights, which changes what it says.

    Args:
        path: The file to write.
        model: Whose tensors it adapts.
        seed: Equal seeds give equal files.
        architecture: What it says of the model.
        edit: Changes the matrices, by their names in the file, or writes further keys.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, ALPHA)
    matrices = _matrices(model, seed)
    if edit is not None:
        edit(writer, matrices)
    for name, matrix in matrices.items():
        writer.add_tensor(name, matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def load_adapter(model: Model, model_path: Path, path: Path) -> LoadedAdapter:
    """Load an adapter's file into a model that was loaded from another one just now."""
    with open_adapter(path, {model_path: FileStamp.of(model_path)}) as file:
        return file.load(model)


def write_merged(path: Path, model: Path, seed: int) -> Path:
    """Write the model that the adapter of this seed makes of it, as one file of weights."""
    matrices = _matrices(model, seed)
    content = bytearray(model.read_bytes())
    header = read_header(model)
    for tensor in _adapted(header.tensors):
        a, b = (matrices[f"{tensor.name}.lora_{side}"] for side in "ab")
        at = header.data_offset + tensor.offset
        weights = np.frombuffer(content, np.float32, tensor.n_elements, at)
        weights += (ALPHA / RANK * (b @ a)).ravel()
    path.write_bytes(content)
    return path


def _matrices(model: Path, seed: int) -> dict[str, Matrix]:
    rng = np.random.default_rng(seed)
    matrices = {}
    for tensor in _adapted(read_header(model).tensors):
        n_in, n_out = tensor.shape
        a = rng.standard_normal((RANK, n_in), np.float32) / np.float32(n_in**0.5)
        b = rng.standard_normal((n_out, RANK), np.float32) / np.float32(RANK**0.5)
        matrices[f"{tensor.name}.lora_a"] = a
        matrices[f"{tensor.name}.lora_b"] = b
    return matrices


def _adapted(tensors: Sequence[TensorInfo]) -> list[TensorInfo]:
    return [each for each in tensors if each.name.split(".")[-2] in ADAPTED]
