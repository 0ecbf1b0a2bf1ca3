"""Adapter files: what fits a model, and what is refused before llama.cpp would end the process."""

import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from support.adapter_files import Matrix, load_adapter, write_adapter
from support.gguf_files import GgufBytes

from pyrunner._native import Model
from pyrunner.engine.adapter_file import adapter_obstacle, open_adapter
from pyrunner.errors import ModelFileError
from pyrunner.gguf import FileStamp, GgufHeader, read_header

pytestmark = [pytest.mark.native, pytest.mark.model]


Edit = Callable[[gguf.GGUFWriter, dict[str, Matrix]], None]
Q = "blk.0.attn_q.weight"


def _without_b(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    del matrices[f"{Q}.lora_b"]


def _unknown_tensor(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    for side in "ab":
        matrices[f"blk.99.attn_q.weight.lora_{side}"] = matrices[f"{Q}.lora_{side}"]


def _other_name(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    matrices["blk.0.attn_q.bias"] = np.ones(4, np.float32)


def _other_rank(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    matrices[f"{Q}.lora_a"] = matrices[f"{Q}.lora_a"][:2]


def _third_dimension(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    """llama.cpp takes it and aborts when it computes."""
    for side in "ab":
        matrices[f"{Q}.lora_{side}"] = np.stack([matrices[f"{Q}.lora_{side}"]] * 2)


def _embedding(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    """llama.cpp takes it and aborts when it computes: the model's output is the same matrix."""
    n_vocab, n_embd, rank = 128256, 64, 4
    matrices["token_embd.weight.lora_a"] = np.ones((n_vocab, rank), np.float32)
    matrices["token_embd.weight.lora_b"] = np.ones((n_embd, rank), np.float32)


def _whole_numbers(writer: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    """llama.cpp takes it and calls a null pointer when it computes."""
    a = matrices.pop(f"{Q}.lora_a")
    writer.add_tensor(f"{Q}.lora_a", a.astype(np.int32))


def _invocation(writer: gguf.GGUFWriter, _: dict[str, Matrix]) -> None:
    writer.add_array(gguf.Keys.Adapter.ALORA_INVOCATION_TOKENS, [1, 2])


def _not_a_number(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    """It would stay in cells, and be multiplied there with what has another adapter."""
    matrices[f"{Q}.lora_a"][1, 7] = np.nan


def _infinite(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    matrices[f"{Q}.lora_b"][3, 2] = np.inf


def _infinite_half(writer: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    b = matrices.pop(f"{Q}.lora_b").astype(np.float16)
    b[3, 2] = np.inf
    writer.add_tensor(f"{Q}.lora_b", b)


def _infinite_scale(writer: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    packed = gguf.quantize(matrices.pop(f"{Q}.lora_a"), kind)
    packed.view(np.float16)[2, 17] = np.inf  # of the second block of the third row
    writer.add_tensor(f"{Q}.lora_a", packed, raw_dtype=kind)


def _norm(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    for side in "ab":
        matrices[f"blk.0.attn_norm.weight.lora_{side}"] = matrices[f"{Q}.lora_{side}"]


def _nothing(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    matrices.clear()


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (_without_b, f"adapts the tensor '{Q}' with one matrix instead of two"),
        (_unknown_tensor, r"'blk\.99\.attn_q\.weight', which the model does not have"),
        (_other_name, r"has the tensor 'blk\.0\.attn_q\.bias', which is no part of an adapter"),
        (_other_rank, r"of shape \(64, 64\) with matrices of shapes \(64, 2\) and \(4, 64\)"),
        (_third_dimension, r"of shape \(64, 64\) with matrices of shapes \(64, 4, 2\)"),
        (_embedding, "which the model has for its output, too; that is not supported"),
        (_whole_numbers, "with numbers of type I32; it may be F32, F16, BF16, Q8_0"),
        (_invocation, "is an activated adapter"),
        (
            _not_a_number,
            r"has a number in 'blk\.0\.attn_q\.weight\.lora_a' that is infinite or NaN",
        ),
        (_infinite, r"has a number in 'blk\.0\.attn_q\.weight\.lora_b' that is infinite or NaN"),
        (_infinite_half, "that is infinite or NaN"),
        (_infinite_scale, "that is infinite or NaN"),
        (_norm, r"'blk\.0\.attn_norm\.weight' which is no matrix"),
        (_nothing, "adapts no tensor"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    model: Model, model_path: Path, tmp_path: Path, edit: Edit, problem: str
) -> None:
    path = write_adapter(tmp_path / "wrong.gguf", model_path, seed=1, edit=edit)
    with pytest.raises(ModelFileError, match=problem):
        load_adapter(model, model_path, path)


def test_norms_are_left_out_with_a_warning(
    model: Model, model_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def edit(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
        matrices["blk.0.attn_norm.weight"] = np.ones(64, np.float32)

    path = write_adapter(tmp_path / "norms.gguf", model_path, seed=1, edit=edit)
    assert load_adapter(model, model_path, path)
    assert "leaves its 1 norms out" in caplog.text


def _header(parts: GgufBytes, folder: Path) -> GgufHeader:
    path = folder / f"{len(list(folder.iterdir()))}.gguf"
    path.write_bytes(parts.build())
    return read_header(path)


def _adapter_of(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> GgufBytes:
    parts = GgufBytes().text("general.type", "adapter").text("general.architecture", "llama")
    parts.text("adapter.type", "lora")
    return parts.tensor(f"{name}.lora_a", a).tensor(f"{name}.lora_b", b)


@pytest.mark.parametrize(
    ("name", "shape", "a", "b", "problem"),
    [
        ("blk.0.ffn_up_exps.weight", (64, 96, 4), (64, 8, 4), (8, 96, 4), ""),
        ("blk.0.ffn_up_exps.weight", (64, 96, 4), (64, 8), (8, 96), "with matrices of shapes"),
        ("blk.0.ffn_up_exps.weight", (64, 96, 4), (64, 8, 4), (8, 96, 2), "of shapes"),
        ("blk.0.ffn_up.weight", (64, 96), (64, 0), (0, 96), "with matrices of shapes"),
        ("blk.0.ffn_up.weight", (64, 96), (64, 65), (65, 96), "with matrices of shapes"),
        ("token_embd.weight", (64, 100), (8, 100), (8, 64), ""),
        ("token_embd.weight", (64, 100), (8, 100), (4, 64), "with matrices of shapes"),
        ("token_embd.weight", (64, 100), (64, 8), (8, 100), "with matrices of shapes"),
    ],
)
def test_shapes(
    tmp_path: Path,
    name: str,
    shape: tuple[int, ...],
    a: tuple[int, ...],
    b: tuple[int, ...],
    problem: str,
) -> None:
    parts = GgufBytes().text("general.architecture", "llama").tensor(name, shape)
    model = _header(parts.tensor("output.weight", (64, 100)), tmp_path)
    obstacle = adapter_obstacle(_header(_adapter_of(name, a, b), tmp_path), [model])
    assert problem in obstacle
    assert bool(problem) == bool(obstacle)


def test_a_tensor_whose_scale_is_apart_is_refused(tmp_path: Path) -> None:
    """llama.cpp aborts when it computes it with an adapter."""
    name = "blk.0.ffn_up.weight"
    parts = GgufBytes().text("general.architecture", "llama").tensor(name, (64, 96), kind=40)
    adapter = _header(_adapter_of(name, (64, 8), (8, 96)), tmp_path)
    assert "of type NVFP4" in adapter_obstacle(adapter, [_header(parts, tmp_path)])


def test_an_alpha_that_is_no_number_is_refused(
    model: Model, model_path: Path, tmp_path: Path
) -> None:
    parts = _adapter_of("blk.0.attn_q.weight", (64, 8), (8, 64))
    parts.key("adapter.lora.alpha", 6, struct.pack("<f", float("inf")))
    path = tmp_path / "infinite.gguf"
    path.write_bytes(parts.build())
    with pytest.raises(ModelFileError, match="has the alpha inf"):
        load_adapter(model, model_path, path)


def test_an_adapter_of_another_architecture_is_refused(
    model: Model, model_path: Path, tmp_path: Path
) -> None:
    path = write_adapter(tmp_path / "qwen.gguf", model_path, seed=1, architecture="qwen2")
    with pytest.raises(ModelFileError, match="of architecture 'qwen2', not 'llama'"):
        load_adapter(model, model_path, path)


def test_a_model_that_changed_since_it_was_loaded_is_not_looked_at(
    model_path: Path, tmp_path: Path
) -> None:
    """What its header says now is not what is in memory."""
    path = write_adapter(tmp_path / "adapter.gguf", model_path, seed=1)
    before = FileStamp.of(model_path)._replace(mtime_ns=1)
    with (
        pytest.raises(ModelFileError, match="has changed since the model was loaded"),
        open_adapter(path, {model_path: before}),
    ):
        raise AssertionError


def test_a_model_is_no_adapter(model: Model, model_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is no LoRA adapter"):
        load_adapter(model, model_path, model_path)


def test_a_file_that_is_not_there(model: Model, model_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        load_adapter(model, model_path, tmp_path / "none.gguf")


def test_an_alpha_of_another_type_is_refused(
    model: Model, model_path: Path, tmp_path: Path
) -> None:
    """llama.cpp aborts over it."""
    parts = GgufBytes().text("general.type", "adapter").text("general.architecture", "llama")
    parts.text("adapter.type", "lora").key("adapter.lora.alpha", 12, struct.pack("<d", 8.0))
    path = tmp_path / "double.gguf"
    path.write_bytes(parts.build())
    with pytest.raises(ModelFileError, match=r"adapter\.lora\.alpha of the type 12"):
        load_adapter(model, model_path, path)
