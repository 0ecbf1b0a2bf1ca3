"""Texts to read, checked before the time for any of them is spent."""

from collections.abc import Sequence

from pyrunner.errors import ContextLengthError, InvalidParameterError, item_name


def check_input(tokens: Sequence[int], name: str, *, n_most: int, n_vocab: int) -> None:
    """Check that a text can be read.

    Args:
        tokens: Of the text.
        name: Of the text, for errors.
        n_most: Tokens of the longest there may be.
        n_vocab: Of the model.

    Raises:
        InvalidParameterError: It is empty, or has a token outside the vocabulary.
        ContextLengthError: It is too long.
    """
    if not tokens:
        raise InvalidParameterError(param=name, problem="is empty")
    if len(tokens) > n_most:
        raise ContextLengthError(n_tokens=len(tokens), n_ctx=n_most, param=name)
    if min(tokens) < 0 or max(tokens) >= n_vocab:
        raise InvalidParameterError(param=name, problem=f"has a token outside 0..{n_vocab - 1}")


def check_inputs(inputs: Sequence[Sequence[int]], *, n_most: int, n_vocab: int) -> None:
    """Check all texts to embed of a request; see `check_input`.

    Raises:
        InvalidParameterError: There is none, or as from `check_input`; it is named by its place.
        ContextLengthError: The same.
    """
    if not inputs:
        raise InvalidParameterError(param="input", problem="is empty")
    for i, tokens in enumerate(inputs):
        check_input(tokens, item_name("input", i, len(inputs)), n_most=n_most, n_vocab=n_vocab)
