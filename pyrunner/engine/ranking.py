"""A query and documents to what a reranking model reads, and what it says of them to scores.

The form is llama-server's (its `format_prompt_rerank`), so that scores are its scores: the model's
own template for pairs, or else both texts one behind the other with the tokens between them that
the vocabulary asks for.
"""

import re
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyrunner.errors import InvalidParameterError
from pyrunner.types import EmbeddingResult, RerankResult

if TYPE_CHECKING:
    from pyrunner._native import Model

_TEMPLATE = "tokenizer.chat_template.rerank"
_PLACES = re.compile(r"\{(query|document)\}")


def check_embeds(model: "Model") -> None:
    """Raise InvalidParameterError for a model whose numbers are scores and no vectors."""
    if model.n_scores:
        raise InvalidParameterError(
            param="model", problem="ranks documents and makes no embeddings; ask it to rerank"
        )


def check_ranks(model: "Model") -> None:
    """Raise InvalidParameterError for a model that has no classifier for pairs of texts."""
    if not model.n_scores:
        problem = "cannot rank; use a reranking model, whose file has 'pooling_type' 4 (rank)"
        raise InvalidParameterError(param="model", problem=problem)


def pairs(model: "Model", query: str, documents: Sequence[str]) -> list[list[int]]:
    """Tokens of the query with each of the documents, for `EngineLoop.embed`.

    SAFETY(worker): in a template's pair the text of control tokens counts as such, because white
    space around the places belongs to the tokens of what is put there. It can only spoil scores.

    Raises:
        InvalidParameterError: The model does not rank.
    """
    check_ranks(model)
    template = model.meta(_TEMPLATE)
    if template:
        return [_filled(model, template, query, each) for each in documents]
    begin, end, separator = ([token] if token >= 0 else [] for token in model.text_frame)
    asked = [*begin, *_tokens(model, query), *end, *separator]
    return [[*asked, *_tokens(model, each), *end] for each in documents]


def ranked(result: EmbeddingResult) -> RerankResult:
    """The first number of each pair: its score, or the chance of the first label."""
    scores = tuple(struct.unpack_from("<f", row)[0] for row in result.vectors)
    return RerankResult(scores=scores, n_tokens=result.n_tokens)


def _filled(model: "Model", template: str, query: str, document: str) -> list[int]:
    # Both at once: a query may have "{document}" in it.
    texts = {"query": query, "document": document}
    filled = _PLACES.sub(lambda place: texts[place[1]], template)
    return model.tokenize(filled, add_special=False, parse_special=True)


def _tokens(model: "Model", text: str) -> list[int]:
    return model.tokenize(text, add_special=False, parse_special=False)
