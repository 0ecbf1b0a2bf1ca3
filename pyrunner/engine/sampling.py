"""Sampling parameters: their ranges, and the form csrc takes them in."""

import os
from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, SupportsIndex

from pyrunner.errors import InvalidParameterError
from pyrunner.types import (
    MAX_DRY_BREAKER_BYTES,
    MAX_DRY_BREAKERS,
    MAX_LOGPROBS,
    MAX_PRIORITY,
    MAX_RECENT_TOKENS,
    Limits,
    SamplingParams,
)

if TYPE_CHECKING:
    from pyrunner._native import Model

MAX_STOPS = 64
"""Of a request and its chat template together; the API allows a client fewer."""
MAX_STOP_CHARACTERS = 1000
MAX_SEED = 2**32 - 2  # llama.cpp keeps the largest value for "draw one"
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 10.0),
    "dynatemp_range": (0.0, 10.0),
    "dynatemp_exponent": (0.0, 10.0),
    "top_n_sigma": (-1.0, 100.0),
    "top_k": (0, 2**31 - 1),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "xtc_probability": (0.0, 1.0),
    "xtc_threshold": (0.0, 1.0),
    "mirostat": (0, 2),
    "mirostat_tau": (0.0, 20.0),
    "mirostat_eta": (0.0, 1.0),
    "adaptive_target": (-1.0, 1.0),
    "adaptive_decay": (0.0, 0.99),
    "repeat_penalty": (0.01, 10.0),
    "repeat_last_n": (0, MAX_RECENT_TOKENS),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "dry_multiplier": (0.0, 10.0),
    "dry_base": (1.0, 10.0),
    "dry_allowed_length": (0, MAX_RECENT_TOKENS),
    "dry_penalty_last_n": (0, MAX_RECENT_TOKENS),
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
    breakers = sampling.dry_sequence_breakers
    if len(breakers) > MAX_DRY_BREAKERS or not all(map(_is_breaker, breakers)):
        raise InvalidParameterError(
            param="dry_sequence_breakers",
            problem=f"must be at most {MAX_DRY_BREAKERS} texts of 1 to {MAX_DRY_BREAKER_BYTES} "
            "bytes in UTF-8, without NUL",
        )


def _is_breaker(text: str) -> bool:
    try:
        return 0 < len(text.encode()) <= MAX_DRY_BREAKER_BYTES and "\0" not in text
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def check_limits(limits: Limits) -> None:
    """Check when a sequence ends.

    Raises:
        InvalidParameterError: Names the parameter and its range.
    """
    if limits.max_tokens is not None and not _is_count(limits.max_tokens):
        raise InvalidParameterError(
            param="max_tokens", problem="must be a whole number, at least 1"
        )
    if _is_text(limits.stop):  # a tuple of its characters, to Python
        raise InvalidParameterError(param="stop", problem="has to be a tuple of texts, not a text")
    if len(limits.stop) > MAX_STOPS or not all(
        0 < len(stop) <= MAX_STOP_CHARACTERS for stop in limits.stop
    ):
        raise InvalidParameterError(
            param="stop",
            problem=f"must be at most {MAX_STOPS} strings of 1 to {MAX_STOP_CHARACTERS} characters",
        )


def _is_count(value: SupportsIndex) -> bool:
    try:
        return index(value) >= 1
    except TypeError:  # 1.5
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def check_priority(priority: int) -> None:
    """Check a priority.

    Raises:
        InvalidParameterError: It is outside its range.
    """
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        problem = f"is {priority}, but must be from {-MAX_PRIORITY} to {MAX_PRIORITY}"
        raise InvalidParameterError(param="priority", problem=problem)


def check_logprobs(n_logprobs: int | None) -> None:
    """Check how many logprobs are asked for.

    Raises:
        InvalidParameterError: Names the parameter and its range.
    """
    if n_logprobs is not None and not 0 <= n_logprobs <= MAX_LOGPROBS:
        raise InvalidParameterError(param="n_logprobs", problem=f"must be from 0 to {MAX_LOGPROBS}")


def prepare_sampling(model: "Model", sampling: SamplingParams) -> None:
    """Do what would hold up the engine when the request gets its lane: for DRY's breakers.

    DRY walks through the vocabulary for each breaker. Any thread but the engine's; releases the
    GIL.

    Raises:
        InvalidParameterError: Names the parameter and its range.
    """
    check_sampling(sampling, model.n_vocab)
    if sampling.dry_multiplier:
        model.prepare_dry(native_params(sampling, ignore_eos=False))


def recent_tokens(tokens: Sequence[int], sampling: SamplingParams) -> Sequence[int]:
    """The end of a prompt that penalties and DRY look at."""
    n_dry = sampling.dry_penalty_last_n if sampling.dry_multiplier else 0
    n_seen = max(sampling.repeat_last_n, n_dry)
    return tokens[-n_seen:] if n_seen else ()


def native_params(
    sampling: SamplingParams, *, ignore_eos: bool
) -> dict[str, float | int | bool | list[bytes]]:
    """The fields of csrc's SamplerParams; a seed is drawn when none is given."""
    params: dict[str, float | int | bool | list[bytes]] = {
        param: getattr(sampling, param) for param in RANGES
    }
    params["dry_sequence_breakers"] = [text.encode() for text in sampling.dry_sequence_breakers]
    params["seed"] = _drawn_seed() if sampling.seed is None else sampling.seed
    params["ignore_eos"] = ignore_eos
    return params


def _drawn_seed() -> int:
    return int.from_bytes(os.urandom(8), "little") % MAX_SEED
