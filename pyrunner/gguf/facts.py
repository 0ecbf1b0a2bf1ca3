"""What follows from GGUF headers: memory needs, and the numbers Docker's config shows."""

from collections.abc import Sequence

from pyrunner.gguf.header import GgufArray, GgufHeader, Scalar

_F16_BYTES = 2
_F32_BYTES = 4
_CELL_PADDING = 256
"""llama.cpp rounds the cells of a lane up to this."""
_UNKNOWN_N_EMBD = 8192
"""Taken where a header does not say: that of a model of 70 billion parameters."""
_MAX_JOINED_ELEMENTS = 50
_MAX_TEXT_BYTES = 256 * 1024
"""Longer strings are left out of the config: it has to stay readable."""


def kv_bytes_per_token(header: GgufHeader) -> int:
    """Bytes of K and V that one token takes in all layers, as f16.

    Sliding windows are not taken into account and unknown shapes are assumed to be as large as
    the embedding, so the estimate is too high rather than too low.
    """
    prefix = header.architecture
    n_embd = _n_embd(header)
    heads = header.integers(f"{prefix}.attention.head_count")
    n_heads = max((*heads, 1))
    head_size = -(-n_embd // n_heads)
    key_length = header.integer(f"{prefix}.attention.key_length", head_size)
    value_length = header.integer(f"{prefix}.attention.value_length", head_size)
    kv_heads = header.integers(f"{prefix}.attention.head_count_kv") or heads or (n_heads,)
    n_layers = _n_layers(header)
    if len(kv_heads) == 1:
        n_kv_heads = n_layers * max(0, kv_heads[0])
    else:
        known = [max(0, each) for each in kv_heads[:n_layers]]
        n_kv_heads = sum(known) + (n_layers - len(known)) * max(known, default=0)
    return n_kv_heads * max(0, key_length + value_length) * _F16_BYTES


def kv_bytes(header: GgufHeader, n_ctx: int, n_lanes: int) -> int:
    """Bytes of the KV cache for `n_lanes` sequences of `n_ctx` tokens each, recurrent state too."""
    n_cells = -(-n_ctx // _CELL_PADDING) * _CELL_PADDING
    return n_lanes * (n_cells * kv_bytes_per_token(header) + _recurrent_bytes(header))


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
