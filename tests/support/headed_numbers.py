"""What a model of `support.headed_model` and its draft heads compute, in NumPy.

Written from the architecture's description (llama.cpp's hy-v3.cpp says it in code): a head reads
at each position the token there and the state that the model left one position before it.
"""

from collections.abc import Collection, Sequence

import numpy as np

from support.headed_model import EPSILON, N_EMBD, N_HEAD, ROPE_BASE, Floats, HeadedCase

_N = N_EMBD // N_HEAD


class HeadedNumbers:
    """One ``hy_v3`` model."""

    def __init__(self, case: HeadedCase, n_vocab: int) -> None:
        assert case.arch == "hy_v3"
        self._case = case
        self._tensors = case.tensors(n_vocab)

    def states(self, tokens: Sequence[int]) -> Floats:
        """What the model leaves behind each token: rows of `N_EMBD`."""
        rows = self._of("token_embd.weight")[list(tokens)]
        for i in range(self._case.n_trunk):
            rows = self._block(i, rows)
        return _normed(rows, self._of("output_norm.weight"))

    def gaps(
        self,
        tokens: Sequence[int],
        guesses: Sequence[int],
        start: int = 0,
        unknown: Collection[int] = (),
    ) -> list[float]:
        """How far each guess behind a text is from the favourite of its head, in logits.

        Args:
            tokens: The text.
            guesses: What was guessed, each behind those before it.
            start: What the heads read begins here, without the state before it.
            unknown: Other positions where they lack the state before.
        """
        before = [np.zeros(N_EMBD, np.float32), *self.states(tokens)]
        for position in (start, *unknown):
            before[position] = before[0]
        read = list(zip(tokens, before, strict=False))[start:]
        gaps = []
        for i, guess in enumerate(guesses):
            rows = self._head(i if self._case.n_heads > 1 else 0, read)
            logits = self._of("output.weight") @ rows[-1]
            gaps.append(float(logits.max() - logits[guess]))
            read.append((guess, rows[-1]))
        return gaps

    def _head(self, i_head: int, read: Sequence[tuple[int, Floats]]) -> Floats:
        block = self._case.n_trunk + i_head
        nextn = f"blk.{block}.nextn."
        embedded = self._of("token_embd.weight")[[token for token, _ in read]]
        both = np.concatenate(
            [
                _normed(embedded, self._of(nextn + "enorm.weight")),
                _normed(np.stack([state for _, state in read]), self._of(nextn + "hnorm.weight")),
            ],
            axis=1,
        )
        rows = self._block(block, both @ self._of(nextn + "eh_proj.weight").T)
        return _normed(rows, self._of(nextn + "shared_head_norm.weight"))

    def _block(self, i: int, rows: Floats) -> Floats:
        def of(name: str) -> Floats:
            return self._of(f"blk.{i}.{name}.weight")

        normed = _normed(rows, of("attn_norm"))
        queries, keys, values = (
            (normed @ of(name).T).reshape(len(rows), N_HEAD, _N)
            for name in ("attn_q", "attn_k", "attn_v")
        )
        queries = _turned(_normed(queries, of("attn_q_norm")))
        keys = _turned(_normed(keys, of("attn_k_norm")))
        scores = np.einsum("qhn,khn->hqk", queries, keys) / np.float32(_N**0.5)
        scores = np.where(np.tri(len(rows), dtype=bool), scores, np.float32(-np.inf))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hqk,khn->qhn", weights, values).reshape(len(rows), N_EMBD)
        rows = rows + mixed @ of("attn_output").T
        normed = _normed(rows, of("ffn_norm"))
        gate = normed @ of("ffn_gate").T
        gated: Floats = gate / (1 + np.exp(-gate)) * (normed @ of("ffn_up").T)
        return rows + gated @ of("ffn_down").T

    def _of(self, name: str) -> Floats:
        return self._tensors[name]


def _normed(rows: Floats, weight: Floats) -> Floats:
    """Each row divided by its root mean square."""
    mean = np.mean(rows * rows, axis=-1, keepdims=True)
    normed: Floats = rows / np.sqrt(mean + np.float32(EPSILON)) * weight
    return normed


def _turned(rows: Floats) -> Floats:
    """Pairs of numbers that lie half a head apart, turned by an angle that grows with the position.

    Only differences between positions matter, so the first one may be any.
    """
    half = _N // 2
    speeds = ROPE_BASE ** (-np.arange(half) / half)
    angles = (np.arange(len(rows))[:, None] * speeds)[:, None, :]
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    first, second = rows[..., :half], rows[..., half:]
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)
