"""Adapter files, LoRA in GGUF as llama.cpp's ``convert_lora_to_gguf.py`` writes it, to adapters.

llama.cpp refuses most of what does not fit a model. It takes some files, though, that its graph
then aborts over, which would end the process: those are refused here.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyrunner._native import Adapter, Model
from pyrunner._native.status import Status
from pyrunner.engine.adapters import LoadedAdapter
from pyrunner.errors import ModelFileError
from pyrunner.gguf import GgufHeader, TensorInfo, read_header
from pyrunner.user_files import printable, user_file_errors

_TYPES = ("F32", "F16", "BF16", "Q8_0")
"""Of the matrices; the converter writes no others."""
_EMBEDDING_TABLE = "token_embd.weight"
_REMEDY = "Name an adapter that was made for this model, as a GGUF file"


def load_adapter(
    model: Model, model_paths: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]
) -> LoadedAdapter:
    """Load an adapter of a model, while no session of it steps.

    Args:
        model: Loaded from `model_paths`.
        model_paths: GGUF files, in shard order; their headers are read again.
        path: The adapter's file.

    Raises:
        ModelFileError: Not a readable adapter, or none for this model.
    """
    file = Path(path)
    problem = adapter_obstacle(read_header(file), [read_header(Path(each)) for each in model_paths])
    adapter = Adapter(model)
    if not problem and Status(adapter.load(os.fsencode(file))) is not Status.OK:
        problem = f"was refused by llama.cpp: {adapter.error or 'it gave no reason'}"
    if problem:
        raise ModelFileError(path=printable(file), problem=problem, remedy=_REMEDY)
    with user_file_errors(file), file.open("rb") as content:
        return LoadedAdapter(adapter, hashlib.file_digest(content, "sha256").hexdigest())


def adapter_obstacle(adapter: GgufHeader, shards: Sequence[GgufHeader]) -> str:
    """Why a file cannot be an adapter for a model, in words that follow its name; empty if it can.

    Args:
        adapter: The file's header.
        shards: Those of the model's files, in order.
    """
    expected = shards[0].architecture
    if adapter.text("general.type") != "adapter" or adapter.text("adapter.type") != "lora":
        return "is no LoRA adapter"
    if adapter.architecture != expected:
        return f"adapts models of architecture {adapter.architecture!r}, not {expected!r}"
    if "adapter.alora.invocation_tokens" in adapter.metadata:
        return "is an activated adapter (aLoRA), which is not supported"
    return _tensors_obstacle(adapter.tensors, [each for shard in shards for each in shard.tensors])


def _tensors_obstacle(matrices: Sequence[TensorInfo], adapted: Sequence[TensorInfo]) -> str:
    tensors = {each.name: each for each in adapted}
    pairs: dict[str, dict[str, TensorInfo]] = {}
    for each in matrices:
        base, _, side = each.name.rpartition(".lora_")
        if side in {"a", "b"}:
            pairs.setdefault(base, {})[side] = each
        elif not each.name.endswith("_norm.weight"):  # which llama.cpp leaves out
            return f"has the tensor {each.name!r}, which is no part of an adapter"
    for base, pair in pairs.items():
        if base not in tensors:
            return f"adapts the tensor {base!r}, which the model does not have"
        if problem := _pair_obstacle(pair, tensors[base], is_tied="output.weight" not in tensors):
            return f"adapts the tensor {base!r} {problem}"
    return "" if pairs else "adapts no tensor"


def _pair_obstacle(pair: Mapping[str, TensorInfo], tensor: TensorInfo, *, is_tied: bool) -> str:
    if pair.keys() != {"a", "b"}:
        return "with one matrix instead of two"
    a, b = pair["a"], pair["b"]
    for each in (a, b):
        if each.type_name not in _TYPES:
            return f"with numbers of type {each.type_name}; it may be {', '.join(_TYPES)}"
    shape_a, shape_b, shape = (_four(each.shape) for each in (a, b, tensor))
    if tensor.name == _EMBEDDING_TABLE:
        # llama.cpp looks rows up in A and multiplies by B; behind the last block it would multiply
        # by the very same A where the model has one matrix for both.
        if is_tied:
            return "which the model has for its output, too; that is not supported"
        rank, fits = shape_b[0], shape_a[:2] == (shape_b[0], shape[1]) and shape_b[1] == shape[0]
    else:
        rank, fits = shape_a[1], shape_a[0] == shape[0] and shape_b[:2] == (shape_a[1], shape[1])
    if not fits or shape_a[2:] != shape[2:] or shape_b[2:] != shape[2:]:
        return f"of shape {tensor.shape} with matrices of shapes {a.shape} and {b.shape}"
    return "" if rank > 0 else "with matrices of rank 0"


def _four(shape: tuple[int, ...]) -> tuple[int, ...]:
    """As ggml has it: what is not said is 1."""
    return (*shape, 1, 1, 1, 1)[:4]
