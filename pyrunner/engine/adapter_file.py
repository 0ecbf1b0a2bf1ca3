"""Adapter files, LoRA in GGUF as llama.cpp's ``convert_lora_to_gguf.py`` writes it, to adapters.

llama.cpp refuses most of what does not fit a model. It takes some files, though, that its graph
then aborts over, which would end the process: those are refused here.
"""

import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from pyrunner import log
from pyrunner._native import Adapter, Model, has_finite
from pyrunner._native.status import Status
from pyrunner.engine.adapters import LoadedAdapter
from pyrunner.errors import ModelFileError, OutOfMemoryError
from pyrunner.gguf import FileStamp, GgufHeader, TensorInfo, open_file, parse_header, read_header
from pyrunner.gguf.types import TENSOR_TYPES
from pyrunner.user_files import printable, user_file_errors

_logger = log.get("engine")

_TYPES = ("F32", "F16", "BF16", "Q8_0")
"""Of the matrices; the converter writes no others."""
_TYPE_NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}
_EMBEDDING_TABLE = "token_embd.weight"
_NORM = "_norm.weight"
"""Ends the names of tensors that the converter writes and llama.cpp leaves out."""
_REMEDY = "Name an adapter that was made for this model, as a GGUF file"


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """An open file that is an adapter of a model, as far as its header says.

    What was checked and hashed is what is loaded, whatever becomes of its name meanwhile.
    """

    name: str
    file: FileIO
    digest: str
    """SHA-256 of all of it, in hexadecimal digits."""

    def load(self, model: Model) -> LoadedAdapter:
        """Load it into its model, while no session of that steps.

        Raises:
            ModelFileError: llama.cpp refused it.
            OutOfMemoryError: It does not fit.
        """
        adapter = Adapter(model)
        match Status(adapter.load(self.file.fileno())):
            case Status.OK:
                return LoadedAdapter(adapter, self.digest)
            case Status.OUT_OF_MEMORY:
                raise OutOfMemoryError(during="loading an adapter")
            case _:
                raise _refused(self.name, adapter.error or "was refused without a reason")


@contextmanager
def open_adapter(
    path: str | os.PathLike[str], model_files: Mapping[Path, FileStamp]
) -> Iterator[AdapterFile]:
    """Open and check a file; it is closed when the block ends.

    Args:
        path: The adapter's.
        model_files: Those of the model, in shard order, as they were when it was loaded; their
            headers are read.

    Raises:
        ModelFileError: Not a readable adapter, or none for this model; or a file of the model is
            another one by now.
    """
    shards = [_checked_header(*each) for each in model_files.items()]
    name = printable(Path(path))
    with ExitStack() as stack:
        with user_file_errors(Path(path)):
            file = stack.enter_context(open_file(Path(path)))
            header = parse_header(file, path=name, size_bytes=os.fstat(file.fileno()).st_size)
            problem = adapter_obstacle(header, shards) or _number_obstacle(header, file)
            if problem:
                raise _refused(name, problem)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        n_norms = sum(each.name.endswith(_NORM) for each in header.tensors)
        if n_norms:
            _logger.warning("%s: llama.cpp leaves its %d norms out", name, n_norms)
        yield AdapterFile(name, file, digest)


def _checked_header(path: Path, stamp: FileStamp) -> GgufHeader:
    """Of a file of the model, which has to be the one that was loaded: other tensors may differ."""
    with user_file_errors(path):
        now = FileStamp.of(path)
    if now._replace(ctime_ns=0) != stamp._replace(ctime_ns=0):  # links to it may come and go
        problem = "has changed since the model was loaded"
        raise ModelFileError(path=printable(path), problem=problem, remedy="Load the model again")
    return read_header(path)


def _number_obstacle(header: GgufHeader, file: FileIO) -> str:
    for each in header.tensors:
        offset = header.data_offset + each.offset
        if each.type_name in _TYPES:
            kind = _TYPE_NUMBERS[each.type_name]
            is_finite = has_finite(file.fileno(), offset, each.size_bytes, kind)
            if not is_finite:
                what = "cannot be read to its end" if is_finite is None else "is infinite or NaN"
                return f"has a number in {each.name!r} that {what}"
    return ""


def _refused(name: str, problem: str) -> ModelFileError:
    return ModelFileError(path=name, problem=problem, remedy=_REMEDY)


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
    if not math.isfinite(_alpha(adapter)):
        return f"has the alpha {_alpha(adapter)}"
    if "adapter.alora.invocation_tokens" in adapter.metadata:
        return "is an activated adapter (aLoRA), which is not supported"
    return _tensors_obstacle(adapter.tensors, [each for shard in shards for each in shard.tensors])


def _alpha(adapter: GgufHeader) -> float:
    value = adapter.metadata.get("adapter.lora.alpha", 0.0)
    return value if isinstance(value, float) else 0.0


def _tensors_obstacle(matrices: Sequence[TensorInfo], adapted: Sequence[TensorInfo]) -> str:
    tensors = {each.name: each for each in adapted}
    pairs: dict[str, dict[str, TensorInfo]] = {}
    for each in matrices:
        base, _, side = each.name.rpartition(".lora_")
        if side in {"a", "b"}:
            pairs.setdefault(base, {})[side] = each
        elif not each.name.endswith(_NORM):
            return f"has the tensor {each.name!r}, which is no part of an adapter"
    for base, pair in pairs.items():
        if base not in tensors:
            return f"adapts the tensor {base!r}, which the model does not have"
        problem = "with one matrix instead of two"
        if len(pair) == 2:
            is_tied = "output.weight" not in tensors
            problem = _pair_obstacle(pair["a"], pair["b"], tensors[base], is_tied=is_tied)
        if problem:
            return f"adapts the tensor {base!r} {problem}"
    return "" if pairs else "adapts no tensor"


def _pair_obstacle(a: TensorInfo, b: TensorInfo, tensor: TensorInfo, *, is_tied: bool) -> str:
    for each in (a, b):
        if each.type_name not in _TYPES:
            return f"with numbers of type {each.type_name}; it may be {', '.join(_TYPES)}"
    if len(tensor.shape) < 2:
        return "which is no matrix"
    if tensor.type_name == "NVFP4":
        return "of type NVFP4, whose scale llama.cpp cannot have beside an adapter"
    # llama.cpp looks rows of the table up in A, and behind the last block it would multiply by the
    # very same A where the model has one matrix for both.
    if tensor.name == _EMBEDDING_TABLE and is_tied:
        return "which the model has for its output, too; that is not supported"
    if not _fits(a, b, tensor):
        return f"of shape {tensor.shape} with matrices of shapes {a.shape} and {b.shape}"
    return ""


def _fits(a: TensorInfo, b: TensorInfo, tensor: TensorInfo) -> bool:
    """Whether the product of two matrices has the shape of a tensor, and no rank beyond it."""
    (a_in, a_out, *a_rest), (b_in, b_out, *b_rest), (n_in, n_out, *rest) = (
        (*each.shape, 1, 1, 1, 1)[:4] for each in (a, b, tensor)
    )
    if a_rest != rest or b_rest != rest:
        return False
    if not 0 < b_in <= min(n_in, n_out):
        return False
    if tensor.name == _EMBEDDING_TABLE:
        return (a_in, a_out, b_out) == (b_in, n_out, n_in)
    return (a_in, a_out, b_out) == (n_in, b_in, n_out)
