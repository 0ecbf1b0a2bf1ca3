"""Models with draft heads of their own (multi-token prediction), with random weights.

Of a model that knows its own mind (`is_right`) every block but its normalisation does nothing, so
that each token follows from the one before it alone, and its heads say the same. Of the others the
heads have nothing to do with the model, and guess right by chance only.
"""

import hashlib
import inspect
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gguf
import numpy as np
import numpy.typing as npt

from support import random_model
from support.random_model import copy_tokenizer, vocabulary_path

Floats = npt.NDArray[np.float32]
Tensors = dict[str, Floats]

N_EMBD = 64
N_HEAD = 2
N_FF = 96
N_CTX_TRAIN = 4096
ROPE_BASE = 10_000.0
EPSILON = 1e-5
_N_EXPERT = 2
END = 2
"""Ends an answer, in the vocabulary of all."""


@dataclass(frozen=True, slots=True)
class HeadedCase:
    """One file; ``sides`` takes it as any other case."""

    name: str
    arch: Literal["hy_v3", "glm4moe"] = "hy_v3"
    n_trunk: int = 2
    n_heads: int = 1
    is_right: bool = False
    has_head_tensors: bool = True
    """False: the file says that there are heads, and they are in another one."""
    last: int = -1
    """A token behind which it is right to end the answer, if any."""

    def tensors(self, n_vocab: int) -> Tensors:
        """All of them, in NumPy's order of dimensions; equal for equal cases."""
        rng = np.random.default_rng(11)
        numbers = {
            name: self._numbers(rng, name, shape)
            for name, shape in self._shapes(n_vocab)
            if self.has_head_tensors or ".nextn." not in name
        }
        if self.last >= 0:
            numbers["output.weight"][END] = numbers["token_embd.weight"][self.last]
        return numbers

    def file(self, folder: Path) -> Path:
        """The file in `folder`, written now unless an equal one is there."""
        source = inspect.getsource(sys.modules[__name__]) + inspect.getsource(random_model)
        digest = hashlib.sha256(f"{self}{source}".encode()).hexdigest()[:12]
        path = folder / f"{self.name}-{digest}.gguf"
        if not path.exists():
            partial = folder / f"{path.name}.{os.getpid()}"
            self._write(partial)
            partial.replace(path)
        return path

    def _numbers(self, rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> Floats:
        noise = rng.standard_normal(shape, np.float32)
        if len(shape) == 1:
            spread = 0.0 if self.is_right else 0.2
            return np.float32(spread) * noise + np.float32(not name.endswith(".bias"))
        if self.is_right and "nextn.eh_proj" in name:
            # The token's own embedding, and nothing of the state beside it.
            return np.eye(*shape, dtype=np.float32)
        if self.is_right and ("attn_output" in name or "ffn_down" in name):
            return np.zeros(shape, np.float32)
        return noise / np.float32(shape[-1] ** 0.5)

    def _shapes(self, n_vocab: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "token_embd.weight", (n_vocab, N_EMBD)
        for i in range(self.n_trunk + self.n_heads):
            block = f"blk.{i}."
            yield block + "attn_norm.weight", (N_EMBD,)
            for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
                yield f"{block}{name}.weight", (N_EMBD, N_EMBD)
            for name in ("attn_q_norm", "attn_k_norm"):
                yield f"{block}{name}.weight", (N_EMBD // N_HEAD,)
            yield from self._mixing_shapes(i, block)
            if i >= self.n_trunk:
                yield block + "nextn.eh_proj.weight", (N_EMBD, 2 * N_EMBD)
                for name in ("enorm", "hnorm", "shared_head_norm"):
                    yield f"{block}nextn.{name}.weight", (N_EMBD,)
        yield "output_norm.weight", (N_EMBD,)
        yield "output.weight", (n_vocab, N_EMBD)

    def _mixing_shapes(self, i: int, block: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        ups, down = ("ffn_gate", "ffn_up"), "ffn_down"
        is_glm = self.arch == "glm4moe"
        yield block + ("post_attention_norm.weight" if is_glm else "ffn_norm.weight"), (N_EMBD,)
        if not is_glm or i == 0:
            for name in ups:
                yield f"{block}{name}.weight", (N_FF, N_EMBD)
            yield f"{block}{down}.weight", (N_EMBD, N_FF)
            return
        yield block + "ffn_gate_inp.weight", (_N_EXPERT, N_EMBD)
        yield block + "exp_probs_b.bias", (_N_EXPERT,)
        for name in ups:
            yield f"{block}{name}_exps.weight", (_N_EXPERT, N_FF, N_EMBD)
            yield f"{block}{name}_shexp.weight", (N_FF, N_EMBD)
        yield f"{block}{down}_exps.weight", (_N_EXPERT, N_EMBD, N_FF)
        yield f"{block}{down}_shexp.weight", (N_EMBD, N_FF)

    def _write(self, path: Path) -> None:
        writer = gguf.GGUFWriter(path, self.arch)
        n_vocab = copy_tokenizer(writer, vocabulary_path("llama-spm"))
        writer.add_name(self.name)
        writer.add_vocab_size(n_vocab)
        writer.add_context_length(N_CTX_TRAIN)
        writer.add_embedding_length(N_EMBD)
        writer.add_block_count(self.n_trunk + self.n_heads)
        writer.add_nextn_predict_layers(self.n_heads)
        writer.add_feed_forward_length(N_FF)
        writer.add_expert_feed_forward_length(N_FF)
        writer.add_head_count(N_HEAD)
        writer.add_head_count_kv(N_HEAD)
        writer.add_rope_dimension_count(N_EMBD // N_HEAD)
        writer.add_rope_freq_base(ROPE_BASE)
        writer.add_layer_norm_rms_eps(EPSILON)
        if self.arch == "glm4moe":
            writer.add_leading_dense_block_count(1)
            writer.add_expert_count(_N_EXPERT)
            writer.add_expert_used_count(1)
            writer.add_expert_shared_count(1)
        writer.add_file_type(gguf.LlamaFileType.ALL_F32)
        for name, numbers in self.tensors(n_vocab).items():
            writer.add_tensor(name, numbers)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


RANDOM_HEAD = HeadedCase("hy-random-head")
RANDOM_HEADS = HeadedCase("hy-random-heads", n_heads=3)
RIGHT_HEAD = HeadedCase("hy-right-head", is_right=True)
RIGHT_HEADS = HeadedCase("hy-right-heads", n_heads=3, is_right=True)
ENDING_HEAD = HeadedCase("hy-ending-head", is_right=True, last=300)
GLM_HEAD = HeadedCase("glm-right-head", arch="glm4moe", is_right=True)
NO_HEAD = HeadedCase("hy-head-elsewhere", has_head_tensors=False)
