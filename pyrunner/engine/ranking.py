"""A query and documents to what a reranking model reads, and what it says of them to scores.

The form is llama-server's (its `format_prompt_rerank`), so that scores are its scores: the model's
own template for pairs, or else both texts one behind the other with the tokens between them that
the vocabulary asks for.
"""

import re
import struct
from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pyrunner.errors import ContextLengthError, InvalidParameterError
from pyrunner.gguf import check_ranks
from pyrunner.types import EmbeddingResult, RerankResult

if TYPE_CHECKING:
    from pyrunner._native import Model

MAX_PAIRS_TOKENS = 2**20
"""Of one request: a small body can name a long query two thousand times."""
_TEMPLATE = "tokenizer.chat_template.rerank"
_PLACES = re.compile(r"\{(query|document)\}")


def pairs(model: "Model", query: str, documents: Sequence[str], n_most: int) -> list["array[int]"]:
    """Tokens of the query with each of the documents, for `EngineLoop.embed`.

    SAFETY(worker): in a template's pair the text of control tokens counts as such, because white
    space around the places belongs to the tokens of what is put there. It can only spoil scores.

    Args:
        model: Loaded.
        query: Repeated in each pair.
        documents: One pair each.
        n_most: Tokens of a pair.

    Raises:
        ContextLengthError: A pair is longer.
        InvalidParameterError: The model does not rank, or all pairs together are longer than
            `MAX_PAIRS_TOKENS`.
    """
    check_ranks(ranks=model.n_scores > 0)
    template = model.meta(_TEMPLATE)
    paired = _in_template(model, template, query) if template else _in_frame(model, query)
    found: list[array[int]] = []
    n_tokens = 0
    for i, document in enumerate(documents):
        pair = paired(document)
        n_tokens += len(pair)
        if len(pair) > n_most:
            raise ContextLengthError(
                n_tokens=len(pair), n_ctx=n_most, param=f"documents[{i}]", beside="query"
            )
        if n_tokens > MAX_PAIRS_TOKENS:
            raise InvalidParameterError(
                param="documents",
                problem=f"have more than {MAX_PAIRS_TOKENS} tokens together with the query in "
                "front of each; send fewer at once",
            )
        found.append(array("i", pair))
    return found


def ranked(result: EmbeddingResult) -> RerankResult:
    """The first number of each pair: its score, or the chance of the first label."""
    scores = tuple(struct.unpack_from("<f", row)[0] for row in result.vectors)
    return RerankResult(scores=scores, n_tokens=result.n_tokens)


_Paired = Callable[[str], list[int]]
"""From a document to its pair."""


def _in_template(model: "Model", template: str, query: str) -> _Paired:
    def paired(document: str) -> list[int]:
        # Both at once: a query may have "{document}" in it.
        texts = {"query": query, "document": document}
        filled = _PLACES.sub(lambda place: texts[place[1]], template)
        return model.tokenize(filled, add_special=False, parse_special=True)

    return paired


def _in_frame(model: "Model", query: str) -> _Paired:
    begin, end, separator = ([token] if token >= 0 else [] for token in model.text_frame)
    asked = [*begin, *_tokens(model, query), *end, *separator]
    return lambda document: [*asked, *_tokens(model, document), *end]


def _tokens(model: "Model", text: str) -> list[int]:
    return model.tokenize(text, add_special=False, parse_special=False)
