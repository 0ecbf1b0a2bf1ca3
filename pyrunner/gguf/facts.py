"""What follows from GGUF headers: memory needs, and the numbers Docker's config shows."""

from collections.abc import Sequence

from pyrunner.gguf.header import GgufArray, GgufHeader, Scalar
from pyrunner.gguf.types import CACHE_TYPES, TENSOR_TYPES

_F32_BYTES = 4
_RANK = 4
"""llama.cpp's number of the way to pool that is a classifier."""
CELL_PADDING = 256
"""llama.cpp rounds the cells of a lane up to this."""
_UNKNOWN_N_EMBD = 8192
"""Taken where a header does not say: that of a model of 70 billion parameters."""
_MOST_DRAFT_HEADS = {"glm4moe": 1, "hy_v3": 8}
"""By architecture, of those whose heads a test has draft here. Of most others that llama.cpp knows
heads of, the memory has recurrent state and cannot take a guess back."""
_HEAD_TENSORS = ("nextn.eh_proj", "nextn.enorm", "nextn.hnorm")
"""llama.cpp takes a file without them, and aborts when it computes a head."""
_MAX_JOINED_ELEMENTS = 50
_MAX_TEXT_BYTES = 256 * 1024
"""Longer strings are left out of the config: it has to stay readable."""


def is_quantized(cache_type: str) -> bool:
    """Whether cells of this type are blocks of numbers that share their scale."""
    return TENSOR_TYPES[CACHE_TYPES[cache_type]].n_per_block > 1


def ranks(header: GgufHeader) -> bool:
    """Whether a model scores pairs of texts, by what it says of itself."""
    return header.integer(f"{header.architecture}.pooling_type") == _RANK


def n_draft_heads(headers: Sequence[GgufHeader]) -> int:
    """How many blocks of its own a model has that can guess what follows the next token.

    Args:
        headers: Of all shards, in order.

    Returns:
        0 where it has none, where they are in another file, or of a kind that is not known.
    """
    first = headers[0]
    n_heads = first.integer(f"{first.architecture}.nextn_predict_layers")
    n_blocks = first.integer(f"{first.architecture}.block_count")
    if not 0 < n_heads <= min(_MOST_DRAFT_HEADS.get(first.architecture, 0), n_blocks - 1):
        return 0
    if any(first.integers(f"{first.architecture}.rope.dimension_sections")):
        return 0  # positions in pictures, which llama.cpp's graph of a head does not have
    if first.integer(f"{first.architecture}.embedding_length_out"):
        return 0  # llama.cpp would take the states, which are of `embedding_length`, for as long
    names = {each.name for header in headers for each in header.tensors}
    needed = _HEAD_TENSORS if first.architecture == "hy_v3" else (*_HEAD_TENSORS, "ffn_gate_inp")
    heads = range(n_blocks - n_heads, n_blocks)
    is_whole = all(f"blk.{i}.{name}.weight" in names for i in heads for name in needed)
    return n_heads if is_whole else 0


def kv_bytes_per_token(header: GgufHeader, type_k: str = "f16", type_v: str = "f16") -> int:
    """Bytes of K and V that one token takes in all layers, in cells of one of `CACHE_TYPES` each.

    Sliding windows are not taken into account and unknown shapes are assumed to be as large as
    the embedding, so the estimate is too high rather than too low. A model's own draft heads are
    blocks like the others: their cells, in lanes of their own, count whether they are used or not.
    """
    prefix = header.architecture
    n_embd = _n_embd(header)
    heads = header.integers(f"{prefix}.attention.head_count")
    head_size = -(-n_embd // max((*heads, 1)))
    key_length = header.integer(f"{prefix}.attention.key_length", head_size)
    value_length = header.integer(f"{prefix}.attention.value_length", head_size)
    kv_heads = header.integers(f"{prefix}.attention.head_count_kv") or heads or (1,)
    n_layers = _n_layers(header)
    known = [max(0, each) for each in kv_heads[:n_layers]]

    # Without flash attention llama.cpp gives V the width of its widest layer everywhere.
    n_widest = max(known, default=0)

    def bytes_of(n_heads: int) -> int:
        keys, values = n_heads * key_length, (n_widest if n_heads else 0) * value_length
        return _row_bytes(keys, type_k) + _row_bytes(values, type_v)

    # One number stands for all layers; of an array that was too long to keep the largest does.
    n_missing = n_layers - len(known)
    return sum(map(bytes_of, known)) + n_missing * bytes_of(n_widest)


def kv_bytes(
    header: GgufHeader, n_ctx: int, n_lanes: int, type_k: str = "f16", type_v: str = "f16"
) -> int:
    """Bytes of the KV cache for `n_lanes` sequences of `n_ctx` tokens each, recurrent state too."""
    n_cells = -(-n_ctx // CELL_PADDING) * CELL_PADDING
    per_token = kv_bytes_per_token(header, type_k, type_v)
    return n_lanes * (n_cells * per_token + _recurrent_bytes(header))


def parameters_text(n_params: int) -> str:
    """Print a parameter count as Docker does: ``361.82M``, ``1.24B``."""
    value = float(n_params)
    for unit in ("", "K", "M", "B"):
        if value < 1000:
            return f"{value:.2f}{unit}" if unit else str(n_params)
        value /= 1000
    return f"{value:.2f}T"


def config_metadata(header: GgufHeader) -> dict[str, str]:
    """The ``gguf`` map of Docker's config: scalars and short arrays as text."""
    found = {key: _text(value) for key, value in header.metadata.items()}
    return {
        key: text
        for key, text in found.items()
        if text is not None and len(text.encode()) <= _MAX_TEXT_BYTES
    }


def _text(value: Scalar | GgufArray) -> str | None:
    if not isinstance(value, GgufArray):
        return _scalar_text(value)
    if value.values is None or value.n_elements > _MAX_JOINED_ELEMENTS:
        return None
    return ", ".join(_scalar_text(each) for each in value.values)


def _scalar_text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, float) else str(value)


def _row_bytes(n_numbers: int, cache_type: str) -> int:
    packed = TENSOR_TYPES[CACHE_TYPES[cache_type]]
    return -(-max(0, n_numbers) // packed.n_per_block) * packed.block_bytes


def _n_layers(header: GgufHeader) -> int:
    named = header.integer(f"{header.architecture}.block_count")
    return named if named > 0 else _n_blocks([each.name for each in header.tensors])


def _n_blocks(names: Sequence[str]) -> int:
    numbers = [name.split(".")[1] for name in names if name.startswith("blk.")]
    return max((int(each) + 1 for each in numbers if each.isdecimal()), default=1)


def _n_embd(header: GgufHeader) -> int:
    named = header.integer(f"{header.architecture}.embedding_length")
    if named > 0:
        return named
    shapes = (each.shape for each in header.tensors if each.name == "token_embd.weight")
    shape = next(shapes, ())
    # A tensor may have no dimensions, or one of 0.
    return shape[0] if shape and shape[0] > 0 else _UNKNOWN_N_EMBD


def _recurrent_bytes(header: GgufHeader) -> int:
    ssm = f"{header.architecture}.ssm"
    n_inner = header.integer(f"{ssm}.inner_size")
    n_state = header.integer(f"{ssm}.state_size")
    n_groups = header.integer(f"{ssm}.group_count")
    n_convolved = max(0, header.integer(f"{ssm}.conv_kernel") - 1)
    per_layer = n_convolved * (n_inner + 2 * n_groups * n_state) + n_inner * n_state
    return max(0, per_layer) * _n_layers(header) * _F32_BYTES
