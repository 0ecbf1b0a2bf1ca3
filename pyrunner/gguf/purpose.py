"""What a model is for, of turning texts into vectors and ranking them: never both."""

from pyrunner.errors import InvalidParameterError


def check_embeds(*, ranks: bool) -> None:
    """Raise InvalidParameterError for a model whose numbers are scores and no vectors."""
    if ranks:
        raise InvalidParameterError(
            param="model", problem="ranks documents and makes no embeddings; ask it to rerank"
        )


def check_ranks(*, ranks: bool) -> None:
    """Raise InvalidParameterError for a model that has no classifier for pairs of texts."""
    if not ranks:
        raise InvalidParameterError(
            param="model",
            problem="cannot rank; use a reranking model, whose file has a classifier and "
            "'pooling_type' 4 (rank)",
        )
