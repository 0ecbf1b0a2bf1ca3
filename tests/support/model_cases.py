"""The models that parity is asserted on, and where their files are kept."""

import hashlib
import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyrunner
from support import random_model
from support.random_model import Shape, write_random_model


@dataclass(frozen=True, slots=True)
class ModelCase:
    """One file: a vocabulary, a shape and a type of weights."""

    name: str
    vocab: str
    quantize: Literal["F32", "F16", "Q8_0"]
    shape: Shape

    def file(self, folder: Path) -> Path:
        """The file in `folder`, written now unless an equal one is there."""
        recipe = f"{self}{inspect.getsource(random_model)}"
        digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
        path = folder / f"{self.name}-{digest}.gguf"
        if not path.exists():
            partial = folder / f"{path.name}.{os.getpid()}"
            write_random_model(
                partial, vocab=self.vocab, quantize=self.quantize, seed=7, **self.shape
            )
            partial.replace(path)
        return path


@dataclass(frozen=True, slots=True)
class ShippedCase:
    """The model that ships inside the package that is tested."""

    name: str = "demo-q8"

    def file(self, _folder: Path | None = None) -> Path:
        """Its weights, the largest blob there."""
        blobs = Path(pyrunner.__file__).parent / "demo" / "layout" / "blobs" / "sha256"
        return max(blobs.iterdir(), key=lambda blob: blob.stat().st_size)


LLAMA_BPE = ModelCase(
    name="llama-bpe-mha-f32",
    vocab="llama-bpe",
    quantize="F32",
    shape={
        "n_layer": 4,
        "n_embd": 64,
        "n_head": 2,
        "n_head_kv": 2,
        "n_ff": 192,
        "n_ctx_train": 4096,
    },
)
SMALL_BPE = ModelCase(
    name="llama-bpe-small-f32",
    vocab="llama-bpe",
    quantize="F32",
    shape={
        "n_layer": 1,
        "n_embd": 32,
        "n_head": 2,
        "n_head_kv": 2,
        "n_ff": 64,
        "n_ctx_train": 1024,
    },
)
"""The tokens of `LLAMA_BPE`, and other weights."""
NARROW_HEADS = ModelCase(
    name="llama-spm-narrow-f32",
    vocab="llama-spm",
    quantize="F32",
    shape={
        "n_layer": 2,
        "n_embd": 64,
        "n_head": 4,
        "n_head_kv": 4,
        "n_ff": 128,
        "n_ctx_train": 1024,
    },
)
"""Heads of 16 numbers, where a block of a quantised type has 32."""
QWEN2 = ModelCase(
    name="qwen2-gqa-q8",
    vocab="qwen2",
    quantize="Q8_0",
    shape={
        "arch": "qwen2",
        "n_layer": 4,
        "n_embd": 128,
        "n_head": 4,
        "n_head_kv": 2,
        "n_ff": 256,
        "n_ctx_train": 4096,
    },
)
LLAMA_SPM = ModelCase(
    name="llama-spm-gqa-f32",
    vocab="llama-spm",
    quantize="F32",
    shape={
        "n_layer": 3,
        "n_embd": 192,
        "n_head": 6,
        "n_head_kv": 2,
        "n_ff": 384,
        "n_ctx_train": 2048,
    },
)
GEMMA3 = ModelCase(
    name="gemma3-swa-q8",
    vocab="llama-spm",
    quantize="Q8_0",
    shape={
        "arch": "gemma3",
        "n_layer": 7,
        "n_embd": 128,
        "n_head": 4,
        "n_head_kv": 1,
        "n_ff": 256,
        "n_swa": 256,
        "n_ctx_train": 2048,
    },
)
BERT = ModelCase(
    name="bert-mean-f32",
    vocab="bert-bge",
    quantize="F32",
    shape={
        "arch": "bert",
        "n_layer": 3,
        "n_embd": 128,
        "n_head": 4,
        "n_head_kv": 4,
        "n_ff": 256,
        "n_ctx_train": 1024,
    },
)
BERT_RANKER = ModelCase(
    name="bert-rank-f32",
    vocab="bert-bge",
    quantize="F32",
    shape={
        "arch": "bert",
        "n_layer": 3,
        "n_embd": 128,
        "n_head": 4,
        "n_head_kv": 4,
        "n_ff": 256,
        "n_ctx_train": 1024,
        "n_scores": 1,
    },
)
QWEN3_RANKER = ModelCase(
    name="qwen3-rank-f32",
    vocab="qwen2",
    quantize="F32",
    shape={
        "arch": "qwen3",
        "n_layer": 3,
        "n_embd": 64,
        "n_head": 4,
        "n_head_kv": 2,
        "n_ff": 128,
        "n_ctx_train": 2048,
        "n_scores": 2,
    },
)
GEMMA_EMBEDDING = ModelCase(
    name="gemma-embedding-f32",
    vocab="llama-spm",
    quantize="F32",
    shape={
        "arch": "gemma-embedding",
        "n_layer": 7,
        "n_embd": 128,
        "n_head": 4,
        "n_head_kv": 1,
        "n_ff": 256,
        "n_swa": 256,
        "n_ctx_train": 1024,
    },
)
MAMBA = ModelCase(
    name="mamba-f32",
    vocab="llama-spm",
    quantize="F32",
    shape={
        "arch": "mamba",
        "n_layer": 3,
        "n_embd": 96,
        "n_head": 0,
        "n_head_kv": 0,
        "n_ff": 0,
        "n_ctx_train": 2048,
    },
)

GPT2_SMALL = ModelCase(
    name="gpt2-small-q8",
    vocab="gpt-2",
    quantize="Q8_0",
    shape={
        "n_layer": 4,
        "n_embd": 128,
        "n_head": 4,
        "n_head_kv": 2,
        "n_ff": 256,
        "n_ctx_train": 4096,
    },
)
"""Its vocabulary is no multiple of 32, nor of anything else that is gone through at once."""

DEMO = ShippedCase()

GENERATIVE = (LLAMA_BPE, QWEN2, LLAMA_SPM, GEMMA3, DEMO)
"""Random weights and trained ones, MHA and GQA, full and sliding-window attention, F32 and Q8_0,
three vocabularies of two kinds."""
EMBEDDING = (LLAMA_SPM, QWEN2, BERT)
"""With and without a causal mask."""
