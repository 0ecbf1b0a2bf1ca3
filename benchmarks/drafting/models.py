"""Models whose next token is known: they follow a list, and what drafts for them mostly does.

Every block does all the work of one and adds nothing, so that the last token alone decides. Each
token of the list gets the next one, which never comes again within an answer. What drafts follows
a list in which some tokens are exchanged, and is wrong there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from support.random_model import copy_tokenizer, vocabulary_path

_VOCABULARY = "gpt-2"
_EXCHANGED = 0.2
"""Of the tokens, where what drafts is wrong."""
_Q8_0 = gguf.GGMLQuantizationType.Q8_0
_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """One of them, with the shape that its name says."""

    name: str
    n_layer: int
    n_embd: int
    n_head: int
    n_head_kv: int
    n_ff: int
    has_draft_head: bool = False
    """It drafts for itself, with one further block."""
    is_draft: bool = False
    """It drafts for another one."""

    def write(self, path: Path) -> None:
        """Write it, of the architecture that has draft heads and no experts."""
        writer = gguf.GGUFWriter(path, "hy_v3")
        n_vocab = copy_tokenizer(writer, vocabulary_path(_VOCABULARY))
        n_head_embd = self.n_embd // self.n_head
        writer.add_name(self.name)
        writer.add_vocab_size(n_vocab)
        writer.add_context_length(8192)
        writer.add_embedding_length(self.n_embd)
        writer.add_block_count(self.n_layer + self.has_draft_head)
        writer.add_nextn_predict_layers(int(self.has_draft_head))
        writer.add_feed_forward_length(self.n_ff)
        writer.add_expert_feed_forward_length(self.n_ff)
        writer.add_head_count(self.n_head)
        writer.add_head_count_kv(self.n_head_kv)
        writer.add_rope_dimension_count(n_head_embd)
        writer.add_rope_freq_base(100_000.0)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
        for name, numbers in self._tensors(n_vocab):
            if numbers.ndim == 1:
                writer.add_tensor(name, numbers)
            else:
                writer.add_tensor(name, gguf.quantize(numbers, _Q8_0), raw_dtype=_Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def _tensors(self, n_vocab: int) -> Iterator[tuple[str, _Floats]]:
        rng = np.random.default_rng(7)
        embedding = rng.standard_normal((n_vocab, self.n_embd), np.float32)
        yield "token_embd.weight", embedding
        yield "output.weight", _answers(embedding, is_draft=self.is_draft)
        yield "output_norm.weight", np.ones(self.n_embd, np.float32)
        n_kv = self.n_embd // self.n_head * self.n_head_kv
        for i_layer in range(self.n_layer + self.has_draft_head):
            block = f"blk.{i_layer}."
            for name, n_numbers in (
                ("attn_norm", self.n_embd),
                ("attn_q_norm", self.n_embd // self.n_head),
                ("attn_k_norm", self.n_embd // self.n_head),
                ("ffn_norm", self.n_embd),
            ):
                yield f"{block}{name}.weight", np.ones(n_numbers, np.float32)
            for name, n_out, n_in in (
                ("attn_q", self.n_embd, self.n_embd),
                ("attn_k", n_kv, self.n_embd),
                ("attn_v", n_kv, self.n_embd),
                ("ffn_gate", self.n_ff, self.n_embd),
                ("ffn_up", self.n_ff, self.n_embd),
            ):
                noise = rng.standard_normal((n_out, n_in), np.float32)
                yield f"{block}{name}.weight", noise / np.float32(n_in**0.5)
            for name, n_in in (("attn_output", self.n_embd), ("ffn_down", self.n_ff)):
                yield f"{block}{name}.weight", np.zeros((self.n_embd, n_in), np.float32)
        if self.has_draft_head:
            nextn = f"blk.{self.n_layer}.nextn."
            # The token's own embedding, and nothing of the state beside it.
            yield nextn + "eh_proj.weight", np.eye(self.n_embd, 2 * self.n_embd, dtype=np.float32)
            for name in ("enorm", "hnorm", "shared_head_norm"):
                yield f"{nextn}{name}.weight", np.ones(self.n_embd, np.float32)
            yield nextn + "shared_head_head.weight", _answers(embedding, is_draft=True)


TARGET = Follower(name="follower", n_layer=32, n_embd=960, n_head=15, n_head_kv=5, n_ff=2560)
"""Of the 360M shape."""
DRAFT = Follower(
    name="follower-draft", n_layer=8, n_embd=576, n_head=9, n_head_kv=3, n_ff=1536, is_draft=True
)
"""A quarter of the blocks of the 135M shape, so that most of it is its vocabulary."""
HEADED = Follower(
    name="follower-headed",
    n_layer=32,
    n_embd=960,
    n_head=15,
    n_head_kv=5,
    n_ff=2560,
    has_draft_head=True,
)


def _answers(embedding: _Floats, *, is_draft: bool) -> _Floats:
    """The output matrix: the row of a token is the embedding of the one before it in the list."""
    n_vocab, n_embd = embedding.shape
    rng = np.random.default_rng(3)
    listed = rng.permutation(_words())
    following = np.roll(listed, -1)
    if is_draft:
        pairs = rng.permutation(len(listed))[: int(_EXCHANGED * len(listed)) // 2 * 2]
        half = len(pairs) // 2
        following[pairs] = following[np.concatenate([pairs[half:], pairs[:half]])]
    rows = np.zeros((n_vocab, n_embd), np.float32)
    rows[following] = embedding[listed] / np.float32(n_embd**0.5)
    return rows


def _words() -> npt.NDArray[np.int64]:
    """Tokens that are whole text by themselves."""
    reader = gguf.GGUFReader(vocabulary_path(_VOCABULARY))
    tokens = reader.fields[gguf.Keys.Tokenizer.LIST].contents()
    # Byte-level BPE writes a space as this letter.
    return np.flatnonzero(
        [each[:1] == "\u0120" and each[1:].isalpha() and each[1:].isascii() for each in tokens]
    )
