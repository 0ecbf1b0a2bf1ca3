"""What goes into the loop and what comes out of it."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pyrunner.engine.constraint import Constraint
from pyrunner.engine.sampling import check_limits, check_logprobs, check_priority, check_sampling
from pyrunner.errors import ContextLengthError, InvalidParameterError, PyrunnerError
from pyrunner.types import FinishEvent, Limits, SamplingParams, TokenLogprobs


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One sequence to generate."""

    request_id: int
    """Chosen by the caller, unique among the requests in the loop."""
    tokens: Sequence[int]
    """The prompt, at least one token. An ``array("i")`` once the loop has taken it."""
    sampling: SamplingParams = msgspec.field(default_factory=SamplingParams)
    limits: Limits = msgspec.field(default_factory=Limits)
    salt: str = ""
    """Only requests of the same salt share cells, so that time tells nothing across tenants."""
    adapter: str = ""
    """Name of the adapter that answers it; empty for the model alone."""
    priority: int = 0
    """Higher goes first and takes the lane of a lower one; within `MAX_PRIORITY` of 0."""
    keeps_cells: bool = True
    """Leave them for others to start from; False also frees them at once."""
    constraint: Constraint | None = None
    """Made for this request alone; the loop moves it on."""
    prediction: Sequence[int] = ()
    """Tokens of what the answer is expected to be like; they never change it."""
    preserved_tokens: tuple[int, ...] = ()
    """Control tokens whose text belongs to the answer, because a chat parser looks for it."""
    n_logprobs: int | None = None
    """Likeliest tokens to report beside each sampled one, 0..`MAX_LOGPROBS`; None for nothing."""


class Traced(NamedTuple):
    """A sampled token with its logprobs, for `pyrunner.engine.token_trace`."""

    logprobs: TokenLogprobs
    text: str
    """What it completed, before stop strings hold any of it back."""


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """New text of one request; empty while a stop string may be forming."""

    request_id: int
    text: str
    token: int
    """The token that was sampled in this step."""
    traced: Traced | None = None
    """The same token, when logprobs were asked for."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The last event of a request that ended well, or was cancelled."""

    request_id: int
    text: str
    """What was held back until now."""
    finish: FinishEvent
    token: int | None = None
    """The token that was sampled in this step, if one was."""
    traced: Traced | None = None
    """The same token, when logprobs were asked for and it is none that ends the answer."""


class Errored(msgspec.Struct, frozen=True, kw_only=True):
    """The last event of a request that failed alone."""

    request_id: int
    error: PyrunnerError


StepEvent = Text | Finished | Errored


def check_request(request: GenerationRequest, *, n_vocab: int, n_ctx: int) -> None:
    """Check all that can be said before a request has a lane.

    Args:
        request: What was asked for.
        n_vocab: Tokens of the vocabulary.
        n_ctx: Tokens of the longest lane there may be.

    Raises:
        ContextLengthError: The prompt does not leave room for one token.
        InvalidParameterError: An empty prompt, a token outside the vocabulary, or a sampling
            parameter, limit or number of logprobs outside its range.
    """
    n_tokens = len(request.tokens)
    if n_tokens == 0:
        raise InvalidParameterError(param="prompt", problem="is empty")
    if n_tokens >= n_ctx:
        raise ContextLengthError(n_tokens=n_tokens, n_ctx=n_ctx)
    check_tokens(request.tokens, n_vocab)
    if request.prediction:
        check_tokens(request.prediction, n_vocab, param="prediction")
    check_sampling(request.sampling, n_vocab)
    check_limits(request.limits)
    check_logprobs(request.n_logprobs)
    check_priority(request.priority)


def check_tokens(tokens: Sequence[int], n_vocab: int, param: str = "prompt") -> None:
    """Check that every id is in the vocabulary, because llama.cpp aborts when one is not.

    Raises:
        InvalidParameterError: Names the first that is not.
    """
    if min(tokens) < 0 or max(tokens) >= n_vocab:
        wrong = next(token for token in tokens if not 0 <= token < n_vocab)
        raise InvalidParameterError(
            param=param, problem=f"has token {wrong}; the vocabulary has {n_vocab}"
        )
