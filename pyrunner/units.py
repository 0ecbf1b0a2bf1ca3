"""Parse and print byte counts and durations."""

import math
import re

from pyrunner.errors import InvalidParameterError

_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)[bB]?")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|ns|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}

FOREVER_S = math.inf
"""A duration that does not end, written ``-1``."""


def parse_bytes(text: str, *, param: str) -> int:
    """Read ``4GiB``, ``512M`` (powers of 1024) or ``2GB`` (powers of 1000).

    Raises:
        InvalidParameterError: Not such a size; names `param`.
    """
    match = _BYTES.fullmatch(text.strip())
    if match is None:
        raise InvalidParameterError(param=param, problem=f"is {text!r}; write a size like 4GiB")
    number, prefix, binary = match.groups()
    # "G" alone means GiB, as in Docker's --memory; only "GB" is decimal.
    decimal = not binary and text.strip()[-1] in "bB" and prefix != ""
    return int(float(number) * (1000 if decimal else 1024) ** _POWERS[prefix.upper()])


def parse_duration(text: str | float, *, param: str) -> float:
    """Read a duration in seconds: Go's form (``1h30m``, ``5m0s``, ``250ms``) or a bare number.

    Any negative value means forever, as in Docker Model Runner and Ollama.

    Returns:
        Seconds, 0 or more, `FOREVER_S` for a negative one.

    Raises:
        InvalidParameterError: Not such a duration; names `param`.
    """
    problem = f"is {text!r}; write a duration like 5m, 90s or -1 for ever"
    if isinstance(text, bool):
        raise InvalidParameterError(param=param, problem=problem)
    if isinstance(text, int | float):
        seconds = float(text)
    else:
        body = text.strip()
        sign = -1.0 if body.startswith("-") else 1.0
        body = body.removeprefix("-")
        parts = _DURATION_PART.findall(body)
        if parts and "".join(number + unit for number, unit in parts) == body:
            seconds = sign * sum(float(number) * _SECONDS[unit] for number, unit in parts)
        elif re.fullmatch(r"\d+(\.\d+)?", body):
            seconds = sign * float(body)
        else:
            raise InvalidParameterError(param=param, problem=problem)
    if math.isnan(seconds):
        raise InvalidParameterError(param=param, problem=problem)
    return FOREVER_S if seconds < 0 else seconds


def format_bytes(size_bytes: int) -> str:
    """Print as Docker does in model configs: two decimals, powers of 1024, no space."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.2f}{unit}"
        value /= 1024
    return f"{value:.2f}TiB"


def format_bytes_decimal(size_bytes: int) -> str:
    """Print with powers of 1000, two decimals: ``270.59MB``, as Docker's progress does."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.2f}{unit}"
        value /= 1000
    return f"{value:.2f}TB"


def format_duration(seconds: float) -> str:
    """Print in Go's form: ``5m0s``, ``1h0m0s``, ``1.5s``; ``-1`` for ever."""
    if math.isinf(seconds):
        return "-1"
    whole, fraction = divmod(seconds, 1)
    minutes, second = divmod(int(whole), 60)
    hours, minutes = divmod(minutes, 60)
    tail = f"{second + fraction:g}s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail
