"""From the trained network to a GGUF file, and back."""

import pathlib
from collections.abc import Iterator

import gguf
import numpy as np
import torch
from gguf import quants
from tokenizers import Tokenizer

from demo_model.chat_format import END_OF_TEXT, SPECIAL_TOKENS, TEMPLATE_PATH, TURN_END
from demo_model.network import Network
from demo_model.tokenizer import learned_merges

DESCRIPTION = (
    "A very small chat model that ships with pyrunner, so that the first minute needs no network. "
    "Trained by a script on text that the script generates itself; it knows a few topics around "
    "Docker and little else."
)


def _tensors(network: Network) -> Iterator[tuple[str, torch.nn.Parameter, float]]:
    """Yield name in the file, weight and factor of every tensor, in the order of the file.

    llama.cpp's `llama` architecture has no factor between embedding and output matrix, so the
    file holds both. The factor is a power of two: quantised, they still agree exactly.
    """
    yield "token_embd.weight", network.token_embd, network.shape.embd_scale
    for i, block in enumerate(network.blocks):
        for name, weight in block.named_parameters():
            yield f"blk.{i}.{name}.weight", weight, 1.0
    yield "output_norm.weight", network.output_norm, 1.0
    yield "output.weight", network.token_embd, 1.0


def _write_general(writer: gguf.GGUFWriter, n_parameters: int) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("pyrunner demo")
    writer.add_basename("pyrunner-demo")
    writer.add_description(DESCRIPTION)
    writer.add_author("The pyrunner authors")
    writer.add_license("mit")
    writer.add_size_label(f"{n_parameters / 1e6:.1f}M")
    writer.add_languages(["en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _write_shape(writer: gguf.GGUFWriter, network: Network) -> None:
    shape = network.shape
    writer.add_vocab_size(shape.n_vocab)
    writer.add_context_length(shape.n_ctx_train)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head_kv)
    writer.add_key_length(shape.n_head_dim)
    writer.add_value_length(shape.n_head_dim)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_dimension_count(shape.n_head_dim)
    writer.add_rope_freq_base(shape.rope_base)


def _write_vocabulary(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    tokens = [token for token, _ in by_id]
    types = [
        gguf.TokenType.CONTROL if token in SPECIAL_TOKENS else gguf.TokenType.NORMAL
        for token in tokens
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([f"{left} {right}" for left, right in learned_merges(tokenizer)])
    writer.add_bos_token_id(tokenizer.token_to_id(END_OF_TEXT))
    writer.add_eos_token_id(tokenizer.token_to_id(TURN_END))
    writer.add_eot_token_id(tokenizer.token_to_id(TURN_END))
    writer.add_pad_token_id(tokenizer.token_to_id(END_OF_TEXT))
    writer.add_add_bos_token(value=False)
    writer.add_chat_template(TEMPLATE_PATH.read_text(encoding="utf-8"))


def write_gguf(path: pathlib.Path, network: Network, tokenizer: Tokenizer) -> None:
    """Write the model; matrices become Q8_0, norms stay float32.

    The file appears under its name only when it is complete.

    Args:
        path: File to create or replace.
        network: Trained weights.
        tokenizer: Vocabulary they were trained with.
    """
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    _write_general(writer, sum(weight.numel() for weight in network.parameters()))
    _write_shape(writer, network)
    _write_vocabulary(writer, tokenizer)
    for name, weight, factor in _tensors(network):
        values = weight.detach().numpy().astype(np.float32) * np.float32(factor)
        if values.ndim == 1:
            writer.add_tensor(name, values)
            continue
        packed = quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)


def read_weights(path: pathlib.Path, network: Network) -> None:
    """Load the file's weights, as quantised, into `network`."""
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    with torch.no_grad():
        for name, weight, factor in _tensors(network):
            tensor = stored[name]
            values = quants.dequantize(tensor.data, tensor.tensor_type) / np.float32(factor)
            weight.copy_(torch.from_numpy(values))
