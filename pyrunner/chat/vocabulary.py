"""What llguidance asks of a model's vocabulary."""

import re
from collections.abc import Collection, Mapping, Sequence

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
        # One that ends an answer is never forced: inside a call it would end it half said.
        marks = {pieces[token]: token for token in visible if pieces[token] and token not in ends}
        asked = _Asked(model, pieces, marks)
        # PERF(chat): once for a model, and llguidance holds the GIL meanwhile, longer in larger
        # vocabularies. The second half, which knows what JSON strings hold, makes masks cheaper.
        tokenizer = LLTokenizer(
            TokenizerWrapper(asked), n_vocab=model.n_vocab, eos_token=ends, slices=[]
        )
        asked.fallback = tokenizer
        self.tokenizer = tokenizer.with_slices(LLTokenizer.json_slices())
        self.visible_ends: Mapping[int, list[int]] = {
            end: self.tokenizer.tokenize_bytes(pieces[end]) for end in ends if pieces[end]
        }
        """Tokens that end an answer and have a text, each with the tokens that spell it."""


class _Asked:
    """What llguidance asks of a tokenizer. The engine's thread calls it, too.

    Args:
        model: Loaded.
        pieces: Of all its tokens.
        marks: Control tokens by the texts that they add.
    """

    bos_token_id = None
    special_token_ids = ()

    def __init__(
        self, model: _native.Model, pieces: Sequence[bytes], marks: Mapping[bytes, int]
    ) -> None:
        self._model = model
        self.tokens = pieces
        self.eos_token_id = next(iter(model.end_of_generation_tokens), 0)
        self.fallback: LLTokenizer | None = None
        self._marks = marks
        longest_first = sorted(marks, key=len, reverse=True)
        self._mark = re.compile(b"(" + b"|".join(map(re.escape, longest_first)) + b")")

    def __call__(self, text: bytes) -> list[int]:
        """The tokens that the model itself would have for a text that the grammar forces."""
        parts = self._mark.split(text) if self._marks else [text]
        found: list[int] = []
        for part in filter(None, parts):
            mark = self._marks.get(part)
            found += self._plain(part) if mark is None else [mark]
        return found

    def _plain(self, text: bytes) -> list[int]:
        """Of a text without marks. That of other control tokens is letters like any."""
        readable = text.decode("utf-8", "replace")
        tokens = self._model.tokenize(readable, add_special=False)
        if self._is_said_by(tokens, text) or self.fallback is None:
            return tokens
        # Tokenisers that put a space in front do so before a line break.
        first = self._model.tokenize(_BREAK, add_special=False)
        behind = self._model.tokenize(_BREAK + readable, add_special=False)
        if behind[: len(first)] == first and self._is_said_by(behind[len(first) :], text):
            return behind[len(first) :]
        # Bytes that are no characters.
        return self.fallback.greedy_tokenize(readable)

    def _is_said_by(self, tokens: Sequence[int], text: bytes) -> bool:
        return b"".join(self.tokens[token] for token in tokens) == text
