"""Sampling parameters: their ranges, and the form csrc takes them in."""

import secrets

from pyrunner.errors import InvalidParameterError
from pyrunner.types import MAX_LOGPROBS, Limits, SamplingParams

MAX_STOPS = 64
"""Of a request and its chat template together; the API allows a client fewer."""
MAX_STOP_CHARACTERS = 1000
MAX_SEED = 2**32 - 2  # llama.cpp keeps the largest value for "draw one"
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 10.0),
    "top_k": (0, 2**31 - 1),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "repeat_penalty": (0.01, 10.0),
    "repeat_last_n": (0, 32768),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
"""Least and most of each number; both are allowed."""


def check_sampling(sampling: SamplingParams, n_vocab: int) -> None:
    """Check every number, because csrc takes them as they are.

    Raises:
        InvalidParameterError: Names the parameter and its range.
    """
    for param, (low, high) in RANGES.items():
        # Written so that NaN fails too.
        if not low <= getattr(sampling, param) <= high:
            raise InvalidParameterError(param=param, problem=f"must be from {low:g} to {high:g}")
    if sampling.seed is not None and not 0 <= sampling.seed <= MAX_SEED:
        raise InvalidParameterError(param="seed", problem=f"must be from 0 to {MAX_SEED}")
    for token, bias in sampling.logit_bias:
        if not 0 <= token < n_vocab:
            raise InvalidParameterError(
                param="logit_bias", problem=f"has token {token}; the vocabulary has {n_vocab}"
            )
        if not -100 <= bias <= 100:
            raise InvalidParameterError(param="logit_bias", problem="must be from -100 to 100")


def check_limits(limits: Limits) -> None:
    """Check when a sequence ends.

    Raises:
        InvalidParameterError: Names the parameter and its range.
    """
    if limits.max_tokens is not None and limits.max_tokens < 1:
        raise InvalidParameterError(param="max_tokens", problem="must be at least 1")
    if len(limits.stop) > MAX_STOPS or not all(
        0 < len(stop) <= MAX_STOP_CHARACTERS for stop in limits.stop
    ):
        raise InvalidParameterError(
            param="stop",
            problem=f"must be at most {MAX_STOPS} strings of 1 to {MAX_STOP_CHARACTERS} characters",
        )


def check_logprobs(n_logprobs: int | None) -> None:
    """Check how many logprobs are asked for.

    Raises:
        InvalidParameterError: Names the parameter and its range.
    """
    if n_logprobs is not None and not 0 <= n_logprobs <= MAX_LOGPROBS:
        raise InvalidParameterError(param="n_logprobs", problem=f"must be from 0 to {MAX_LOGPROBS}")


def native_params(sampling: SamplingParams, *, ignore_eos: bool) -> dict[str, float | int | bool]:
    """The fields of csrc's SamplerParams; a seed is drawn when none is given."""
    params: dict[str, float | int | bool] = {param: getattr(sampling, param) for param in RANGES}
    params["seed"] = secrets.randbelow(MAX_SEED) if sampling.seed is None else sampling.seed
    params["ignore_eos"] = ignore_eos
    return params
