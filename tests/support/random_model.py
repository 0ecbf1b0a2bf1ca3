"""Models with random weights and a real vocabulary: valid GGUF files of any shape.

They say nothing sensible, but they exercise the engine as a trained model of that shape does: same
kernels, same memory, same tokeniser. Weights depend on the seed and the shape only.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, Unpack

import gguf
import numpy as np

VOCABULARIES = Path(__file__).resolve().parents[2] / "llama.cpp" / "models"
"""Where the pinned llama.cpp keeps ``ggml-vocab-NAME.gguf``."""

SMOLLM2_135M: "Shape" = {
    "n_layer": 30,
    "n_embd": 576,
    "n_head": 9,
    "n_head_kv": 3,
    "n_ff": 1536,
    "n_ctx_train": 8192,
}

# The state of a recurrent model, per layer.
_N_CONV = 4
_N_STATE = 16
_N_TIME_STEP = 8

_KINDS = {
    "F32": gguf.GGMLQuantizationType.F32,
    "F16": gguf.GGMLQuantizationType.F16,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
}
_FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}


class Shape(TypedDict):
    """What decides the tensors of a model."""

    n_layer: int
    n_embd: int
    """A multiple of 32 for Q8_0, and of `n_head`."""
    n_head: int
    n_head_kv: int
    n_ff: int
    """A multiple of 32 for Q8_0."""
    n_ctx_train: int
    arch: NotRequired[
        Literal["bert", "gemma-embedding", "gemma3", "llama", "mamba", "qwen2", "qwen3"]
    ]
    n_swa: NotRequired[int]
    """Both gemmas: tokens a sliding-window layer sees; every sixth layer sees all."""
    n_scores: NotRequired[int]
    """bert and qwen3: it ranks texts, and says so many numbers of each."""
    has_classifier: NotRequired[bool]
    """Whether the file has the tensors for `n_scores`; it does without this."""
    suppressed: NotRequired[tuple[int, ...]]
    """Tokens the file says are never to be chosen."""


def write_random_model(
    path: Path | str,
    *,
    vocab: Path | str,
    quantize: Literal["F32", "F16", "Q8_0"] = "F32",
    seed: int = 0,
    n_shard_tensors: int = 0,
    **shape: Unpack[Shape],
) -> Path:
    """Write a model that llama.cpp loads.

    Matrices are normal with deviation 1/sqrt(inputs), so that activations neither die nor explode
    over the layers and logits are roughly standard normal. The output matrix is the embedding.

    Args:
        path: The file to write; an existing one is replaced.
        vocab: A GGUF whose ``tokenizer.*`` keys are copied, or a bare name such as ``qwen2`` for
            one of `VOCABULARIES`.
        quantize: Type of the matrices; vectors are always F32.
        seed: Equal seeds give equal files.
        n_shard_tensors: Most tensors of one file; 0 writes a single one. With more, the names are
            ``path`` with ``-00001-of-0000N`` in them.
        **shape: See `Shape`.

    Returns:
        `path`.
    """
    path = Path(path)
    arch = shape.get("arch", "llama")
    writer = gguf.GGUFWriter(path, arch, split_max_tensors=n_shard_tensors)
    n_vocab = copy_tokenizer(writer, vocabulary_path(vocab))
    _write_parameters(writer, shape, n_vocab)
    writer.add_file_type(_FILE_TYPES[quantize])
    rng = np.random.default_rng(seed)
    for name, dimensions in _tensors(shape, n_vocab):
        if len(dimensions) == 1:
            is_bias = name.endswith(".bias")
            vector = (
                np.zeros(dimensions, np.float32) if is_bias else np.ones(dimensions, np.float32)
            )
            spread = rng.standard_normal(dimensions, np.float32) * np.float32(0.1)
            writer.add_tensor(name, vector + spread)
            continue
        matrix = rng.standard_normal(dimensions, np.float32) / np.float32(dimensions[1] ** 0.5)
        if name.endswith("ssm_a"):
            matrix = -np.abs(matrix)  # a state that grows at each token would overflow
        kind = _KINDS[quantize]
        writer.add_tensor(name, gguf.quantize(matrix, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def vocabulary_path(vocab: Path | str) -> Path:
    """The file of a vocabulary given by path, or by name from llama.cpp's own."""
    path = Path(vocab)
    if path.suffix == ".gguf":
        return path
    return VOCABULARIES / f"ggml-vocab-{vocab}.gguf"


def copy_tokenizer(writer: gguf.GGUFWriter, source: Path) -> int:
    """Copy the ``tokenizer.*`` keys of a file; returns how many tokens there are."""
    n_vocab = 0
    for name, kind, sub_kind, value in _read_fields(source.read_bytes()):
        if name == gguf.Keys.Tokenizer.LIST:
            n_vocab = len(value)
        if name.startswith("tokenizer."):
            writer.add_key_value(name, value, kind, sub_kind)
    return n_vocab


_NUMBERS = {
    gguf.GGUFValueType.UINT32: "<I",
    gguf.GGUFValueType.INT32: "<i",
    gguf.GGUFValueType.FLOAT32: "<f",
    gguf.GGUFValueType.BOOL: "<?",
    gguf.GGUFValueType.UINT64: "<Q",
}


def _read_fields(
    data: bytes,
) -> Iterator[tuple[str, gguf.GGUFValueType, gguf.GGUFValueType | None, Any]]:
    # PERF: gguf.GGUFReader makes NumPy views of every string: 6 s for a vocabulary of 150,000
    # tokens and as many merges, against 0.2 s here.
    (n_fields,) = struct.unpack_from("<Q", data, 16)
    at = 24
    for _ in range(n_fields):
        name, at = _read_value(data, at, gguf.GGUFValueType.STRING)
        kind, at = _read_kind(data, at)
        if kind is not gguf.GGUFValueType.ARRAY:
            value, at = _read_value(data, at, kind)
            yield name.decode(), kind, None, value
            continue
        sub_kind, at = _read_kind(data, at)
        (n_items,) = struct.unpack_from("<Q", data, at)
        at += 8
        items = []
        for _ in range(n_items):
            item, at = _read_value(data, at, sub_kind)
            items.append(item)
        yield name.decode(), kind, sub_kind, items


def _read_kind(data: bytes, at: int) -> tuple[gguf.GGUFValueType, int]:
    return gguf.GGUFValueType(int.from_bytes(data[at : at + 4], "little")), at + 4


def _read_value(data: bytes, at: int, kind: gguf.GGUFValueType) -> tuple[Any, int]:
    if kind is gguf.GGUFValueType.STRING:
        start = at + 8
        end = start + int.from_bytes(data[at:start], "little")
        return data[start:end], end
    form = _NUMBERS[kind]
    return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)


def _write_parameters(writer: gguf.GGUFWriter, shape: Shape, n_vocab: int) -> None:
    writer.add_name(f"random {shape['n_layer']}x{shape['n_embd']}")
    writer.add_vocab_size(n_vocab)
    writer.add_context_length(shape["n_ctx_train"])
    writer.add_embedding_length(shape["n_embd"])
    writer.add_block_count(shape["n_layer"])
    writer.add_feed_forward_length(shape["n_ff"])
    writer.add_head_count(shape["n_head"])
    writer.add_head_count_kv(shape["n_head_kv"])
    if "suppressed" in shape:
        writer.add_array("tokenizer.ggml.suppress_tokens", list(shape["suppressed"]))
    if n_scores := shape.get("n_scores"):
        writer.add_pooling_type(gguf.PoolingType.RANK)
        writer.add_classifier_output_labels([f"label {i}" for i in range(n_scores)])
    if shape.get("arch") == "bert":
        writer.add_layer_norm_eps(1e-5)
        writer.add_causal_attention(value=False)
        if "n_scores" not in shape:
            writer.add_pooling_type(gguf.PoolingType.MEAN)
        return
    if shape.get("arch") == "mamba":
        writer.add_ssm_conv_kernel(_N_CONV)
        writer.add_ssm_inner_size(2 * shape["n_embd"])
        writer.add_ssm_state_size(_N_STATE)
        writer.add_ssm_time_step_rank(_N_TIME_STEP)
        writer.add_layer_norm_rms_eps(1e-5)
        return
    if _is_gemma(shape):
        writer.add_sliding_window(shape["n_swa"])
    if shape.get("arch") == "gemma-embedding":
        writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_rope_dimension_count(shape["n_embd"] // shape["n_head"])
    writer.add_rope_freq_base(100_000.0)
    writer.add_layer_norm_rms_eps(1e-5)


def _n_classes(shape: Shape) -> int:
    return shape.get("n_scores", 0) if shape.get("has_classifier", True) else 0


def _is_gemma(shape: Shape) -> bool:
    return shape.get("arch", "llama").startswith("gemma")


def _tensors(shape: Shape, n_vocab: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and NumPy shapes (outputs, inputs), in the order they are drawn and written."""
    if shape.get("arch") == "bert":
        return _encoder_tensors(shape, n_vocab)
    if shape.get("arch") == "mamba":
        return _recurrent_tensors(shape, n_vocab)
    return _decoder_tensors(shape, n_vocab)


def _encoder_tensors(shape: Shape, n_vocab: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    n_embd, n_ff = shape["n_embd"], shape["n_ff"]
    yield "token_embd.weight", (n_vocab, n_embd)
    yield "token_types.weight", (2, n_embd)
    yield "position_embd.weight", (shape["n_ctx_train"], n_embd)
    yield "token_embd_norm.weight", (n_embd,)
    yield "token_embd_norm.bias", (n_embd,)
    for i_layer in range(shape["n_layer"]):
        layer = f"blk.{i_layer}."
        matrices = [(name, n_embd, n_embd) for name in ("attn_q", "attn_k", "attn_v")]
        matrices += [("attn_output", n_embd, n_embd)]
        matrices += [("ffn_up", n_ff, n_embd), ("ffn_down", n_embd, n_ff)]
        for name, n_out, n_in in matrices:
            yield f"{layer}{name}.weight", (n_out, n_in)
            yield f"{layer}{name}.bias", (n_out,)
        for name in ("attn_output_norm", "layer_output_norm"):
            yield f"{layer}{name}.weight", (n_embd,)
            yield f"{layer}{name}.bias", (n_embd,)
    if n_scores := _n_classes(shape):
        for name, n_out in (("cls", n_embd), ("cls.output", n_scores)):
            yield f"{name}.weight", (n_out, n_embd)
            yield f"{name}.bias", (n_out,)


def _recurrent_tensors(shape: Shape, n_vocab: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    n_embd, n_inner = shape["n_embd"], 2 * shape["n_embd"]
    yield "token_embd.weight", (n_vocab, n_embd)
    for i_layer in range(shape["n_layer"]):
        layer = f"blk.{i_layer}."
        yield layer + "attn_norm.weight", (n_embd,)
        yield layer + "ssm_in.weight", (2 * n_inner, n_embd)
        yield layer + "ssm_conv1d.weight", (n_inner, _N_CONV)
        yield layer + "ssm_conv1d.bias", (n_inner,)
        yield layer + "ssm_x.weight", (_N_TIME_STEP + 2 * _N_STATE, n_inner)
        yield layer + "ssm_dt.weight", (n_inner, _N_TIME_STEP)
        yield layer + "ssm_dt.bias", (n_inner,)
        yield layer + "ssm_a", (n_inner, _N_STATE)
        yield layer + "ssm_d", (n_inner,)
        yield layer + "ssm_out.weight", (n_embd, n_inner)
    yield "output_norm.weight", (n_embd,)


def _decoder_tensors(shape: Shape, n_vocab: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    n_embd, n_ff = shape["n_embd"], shape["n_ff"]
    is_gemma = _is_gemma(shape)
    n_kv = n_embd // shape["n_head"] * shape["n_head_kv"]
    has_bias = shape.get("arch", "llama") == "qwen2"
    yield "token_embd.weight", (n_vocab, n_embd)
    for i_layer in range(shape["n_layer"]):
        layer = f"blk.{i_layer}."
        yield layer + "attn_norm.weight", (n_embd,)
        for name, n_out in (("attn_q", n_embd), ("attn_k", n_kv), ("attn_v", n_kv)):
            yield f"{layer}{name}.weight", (n_out, n_embd)
            if has_bias:
                yield f"{layer}{name}.bias", (n_out,)
        yield layer + "attn_output.weight", (n_embd, n_embd)
        if is_gemma or shape.get("arch") == "qwen3":
            n_head_embd = n_embd // shape["n_head"]
            yield layer + "attn_q_norm.weight", (n_head_embd,)
            yield layer + "attn_k_norm.weight", (n_head_embd,)
        if is_gemma:
            yield layer + "post_attention_norm.weight", (n_embd,)
            yield layer + "post_ffw_norm.weight", (n_embd,)
        yield layer + "ffn_norm.weight", (n_embd,)
        yield layer + "ffn_gate.weight", (n_ff, n_embd)
        yield layer + "ffn_up.weight", (n_ff, n_embd)
        yield layer + "ffn_down.weight", (n_embd, n_ff)
    yield "output_norm.weight", (n_embd,)
    if n_scores := _n_classes(shape):
        yield "cls.output.weight", (n_scores, n_embd)
