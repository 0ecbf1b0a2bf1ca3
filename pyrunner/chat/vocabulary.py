"""What llguidance asks of a model's vocabulary."""

from collections.abc import Collection, Iterator, Sequence

from llguidance import LLTokenizer, TokenizerWrapper

from pyrunner import _native
from pyrunner.errors import InvalidParameterError

_BREAK = "\n"


class Vocabulary:
    """The tokens of a model as the texts they add to an answer. Any thread once made.

    Args:
        model: Loaded; it is kept alive.
        visible: Control tokens that add their text, too, because a parser looks for it. All others
            add nothing, so they never fit.

    Raises:
        InvalidParameterError: The model has no token that ends an answer.
    """

    def __init__(self, model: _native.Model, visible: Collection[int] = ()) -> None:
        ends = model.end_of_generation_tokens
        if not ends:
            raise InvalidParameterError(
                param="model",
                problem="has no token that ends an answer, so none can be constrained",
            )
        pieces = [
            model.detokenize([token], render_special=token in visible)
            for token in range(model.n_vocab)
        ]
        self.pieces: Sequence[bytes] = pieces
        self.n_mask_words = (model.n_vocab + 31) // 32
        # PERF(chat): once for a model, and llguidance holds the GIL meanwhile, longer in larger
        # vocabularies. The second half, which knows what JSON strings hold, makes masks cheaper.
        asked = _Asked(model, pieces)
        tokenizer = LLTokenizer(
            TokenizerWrapper(asked), n_vocab=model.n_vocab, eos_token=ends, slices=[]
        )
        asked.fallback = tokenizer
        self.tokenizer = tokenizer.with_slices(LLTokenizer.json_slices())


class _Asked:
    """What llguidance asks of a tokenizer. The engine's thread calls it, too."""

    bos_token_id = None
    special_token_ids = ()

    def __init__(self, model: _native.Model, pieces: list[bytes]) -> None:
        self._model = model
        self.tokens = pieces
        self.eos_token_id = next(iter(model.end_of_generation_tokens), 0)
        self.fallback: LLTokenizer | None = None

    def __call__(self, text: bytes) -> list[int]:
        """The tokens that the model itself would have for a text that the grammar forces."""
        readable = text.decode("utf-8", "replace")
        for tokens in self._ways_to_say(readable):
            if b"".join(self.tokens[token] for token in tokens) == text:
                return tokens
        if self.fallback is None:  # while llguidance makes the tokenizer that will be it
            return self._model.tokenize(readable, add_special=False)
        # Bytes that are no characters.
        return self.fallback.greedy_tokenize(readable)

    def _ways_to_say(self, text: str) -> Iterator[list[int]]:
        """The model's own first."""
        # Marks inside a call are control tokens to a model that has them. Those that are not
        # visible add no text, so that what has one says something else.
        for are_controls in (True, False):
            yield self._model.tokenize(text, add_special=False, parse_special=are_controls)
            # Tokenisers that put a space in front do so before a line break.
            first = self._model.tokenize(_BREAK, add_special=False)
            behind = self._model.tokenize(
                _BREAK + text, add_special=False, parse_special=are_controls
            )
            if behind[: len(first)] == first:
                yield behind[len(first) :]
