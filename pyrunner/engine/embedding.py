"""Token sequences to vectors or, with a model that ranks, to scores."""

from collections.abc import Sequence
from itertools import chain

from pyrunner._native import Embedder, Model
from pyrunner.errors import ContextLengthError, InvalidParameterError
from pyrunner.types import EmbeddingResult

_FLOAT_BYTES = 4


class Embeddings:
    """Owns the embedding context, which is made on first use: many models never need one."""

    def __init__(self, model: Model, *, n_ctx: int, n_threads: int) -> None:
        self._model = model
        self._n_ctx = n_ctx
        self._n_threads = n_threads
        self._embedder: Embedder | None = None

    def set_threads(self, n_threads: int) -> None:
        """Use so many from the next text on."""
        self._n_threads = n_threads
        if self._embedder is not None:
            self._embedder.set_threads(n_threads)

    def rows(self, inputs: Sequence[Sequence[int]], *, normalize: bool) -> memoryview | None:
        """Embed and return the memory itself: as many float32 per input as the model has outputs.

        Returns:
            None when `interrupt` stopped it.

        Raises:
            InvalidParameterError: As from `check`.
            ContextLengthError: As from `check`.
        """
        self.check(inputs)
        packed = list(chain.from_iterable(inputs))
        return self._opened().embed(packed, [len(tokens) for tokens in inputs], normalize)

    def check(self, inputs: Sequence[Sequence[int]]) -> None:
        """Check that all inputs can be embedded, before the time for any is spent.

        Raises:
            InvalidParameterError: No input, an empty one, or a token outside the vocabulary.
            ContextLengthError: An input is longer than the model takes.
        """
        if not inputs:
            raise InvalidParameterError(param="input", problem="is empty")
        n_most, n_vocab = self._opened().n_tokens_max, self._model.n_vocab
        for i, tokens in enumerate(inputs):
            param = f"input[{i}]" if len(inputs) > 1 else "input"
            if not tokens:
                raise InvalidParameterError(param=param, problem="is empty")
            if len(tokens) > n_most:
                raise ContextLengthError(n_tokens=len(tokens), n_ctx=n_most, param=param)
            if min(tokens) < 0 or max(tokens) >= n_vocab:
                raise InvalidParameterError(
                    param=param, problem=f"has a token outside 0..{n_vocab - 1}"
                )

    def interrupt(self) -> None:
        """Stop the embedding that is running, if one is. Any thread."""
        embedder = self._embedder
        if embedder is not None:
            embedder.interrupt()

    def embed(self, inputs: Sequence[Sequence[int]], *, normalize: bool) -> EmbeddingResult | None:
        """Embed into one value per input, equal inputs once; see `rows` for None and the errors."""
        self.check(inputs)  # before equal ones are put together, so that errors name their places
        places = {each: i for i, each in enumerate(dict.fromkeys(map(tuple, inputs)))}
        memory = self.rows(tuple(places), normalize=normalize)
        if memory is None:
            return None
        rows = memory.cast("B")
        n_out = self._opened().n_out
        n_row_bytes = n_out * _FLOAT_BYTES
        vectors = [bytes(rows[at : at + n_row_bytes]) for at in range(0, len(rows), n_row_bytes)]
        return EmbeddingResult(
            vectors=tuple(vectors[places[tuple(each)]] for each in inputs),
            n_embd=n_out,
            n_tokens=sum(len(tokens) for tokens in inputs),
        )

    def _opened(self) -> Embedder:
        if self._embedder is None:
            self._embedder = Embedder(self._model, n_ctx=self._n_ctx, n_threads=self._n_threads)
        return self._embedder
