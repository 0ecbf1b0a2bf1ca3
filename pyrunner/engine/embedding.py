"""Token sequences to vectors or, with a model that ranks, to scores."""

from collections.abc import Sequence
from itertools import chain

from pyrunner._native import Embedder, Model
from pyrunner.engine.inputs import check_inputs
from pyrunner.types import EmbeddingResult

_FLOAT_BYTES = 4


class Embeddings:
    """Owns the embedding context, which is made on first use: many models never need one."""

    def __init__(self, model: Model, *, n_ctx: int, n_threads: int) -> None:
        self._model = model
        self._n_ctx = n_ctx
        self._n_threads = n_threads
        self._embedder: Embedder | None = None

    @property
    def n_tokens_max(self) -> int:
        """Tokens of the longest text."""
        return Embedder.n_tokens_max(self._model, self._n_ctx)

    def set_threads(self, n_threads: int) -> None:
        """Use so many from the next text on."""
        self._n_threads = n_threads
        if self._embedder is not None:
            self._embedder.set_threads(n_threads)

    def rows(self, inputs: Sequence[Sequence[int]], *, normalize: bool) -> memoryview | None:
        """Embed and return the memory itself: as many float32 per input as the model has outputs.

        Args:
            inputs: At least one, and `check_inputs` has nothing against them.
            normalize: Scale each to Euclidean length 1.

        Returns:
            None when `interrupt` stopped it.
        """
        packed = list(chain.from_iterable(inputs))
        return self._opened().embed(packed, [len(tokens) for tokens in inputs], normalize)

    def interrupt(self) -> None:
        """Stop the embedding that is running, if one is. Any thread."""
        embedder = self._embedder
        if embedder is not None:
            embedder.interrupt()

    def embed(self, inputs: Sequence[Sequence[int]], *, normalize: bool) -> EmbeddingResult | None:
        """Embed into one value per input.

        Returns:
            None when `interrupt` stopped it.

        Raises:
            InvalidParameterError: As from `check_inputs`.
            ContextLengthError: As from `check_inputs`.
        """
        check_inputs(inputs, n_most=self.n_tokens_max, n_vocab=self._model.n_vocab)
        memory = self.rows(inputs, normalize=normalize)
        if memory is None:
            return None
        rows = memory.cast("B")
        n_out = self._opened().n_out
        n_row_bytes = n_out * _FLOAT_BYTES
        starts = range(0, len(rows), n_row_bytes)
        return EmbeddingResult(
            vectors=tuple(bytes(rows[at : at + n_row_bytes]) for at in starts),
            n_embd=n_out,
            n_tokens=sum(len(tokens) for tokens in inputs),
        )

    def _opened(self) -> Embedder:
        if self._embedder is None:
            self._embedder = Embedder(self._model, n_ctx=self._n_ctx, n_threads=self._n_threads)
        return self._embedder
