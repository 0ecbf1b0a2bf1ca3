"""Parse and print byte counts and durations; print numbers of things."""

import math
import re

from pyrunner.errors import InvalidParameterError

# Digits are bounded, so that no text makes a number that overflows a float.
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_BYTES = re.compile(
    r"([0-9]{1,15})(?:\.([0-9]{1,9}))?(?:([kmgt])(i?))?(b?)", re.ASCII | re.IGNORECASE
)
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|us|ns|h|m|s)")
_DURATION = re.compile(rf"(-?)((?:{_DURATION_PART.pattern})+|{_NUMBER})")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}

FOREVER_S = math.inf
"""A duration that does not end, written ``-1``."""

_CENTURY_S = 3_155_760_000.0


def parse_bytes(text: str, *, param: str) -> int:
    """Read ``4GiB``, ``512M`` (powers of 1024) or ``2GB`` (powers of 1000).

    Raises:
        InvalidParameterError: Not such a size; names `param`.
    """
    match = _BYTES.fullmatch(text.strip())
    if match is None:
        raise InvalidParameterError(param=param, problem=f"is {text!r:.60}; write a size like 4GiB")
    whole, decimals, prefix, binary, byte = match.groups(default="")
    # "G" alone means GiB, as in Docker's --memory; only "GB" is decimal.
    factor: int = (1000 if byte and not binary else 1024) ** _POWERS[prefix.upper()]
    return int(whole) * factor + int(decimals.ljust(9, "0")) * factor // 1_000_000_000


def counted(n: int, noun: str) -> str:
    """Write a number of things: ``1 model``, ``3 models``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def parse_duration(text: str | float, *, param: str) -> float:
    """Read a duration in seconds: Go's form (``1h30m``, ``5m0s``, ``250ms``) or a bare number.

    Any negative value means forever, as in Docker Model Runner and Ollama; so does more than a
    century, which the system's own timers could not hold.

    Returns:
        Seconds, 0 to a century, or `FOREVER_S`.

    Raises:
        InvalidParameterError: Not such a duration; names `param`.
    """
    seconds = _signed_seconds(text)
    if seconds is None or math.isnan(seconds):
        raise InvalidParameterError(
            param=param, problem=f"is {text!r:.60}; write a duration like 5m, 90s or -1 for ever"
        )
    return abs(seconds) if 0 <= seconds <= _CENTURY_S else FOREVER_S


def _signed_seconds(text: object) -> float | None:
    if isinstance(text, float):
        return text
    if isinstance(text, int) and not isinstance(text, bool):
        # A JSON integer can be too large for a float.
        return float(text) if abs(text) <= _CENTURY_S else math.inf
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    sign, body = match[1], match[2]
    parts = _DURATION_PART.findall(body)
    seconds = sum(float(n) * _SECONDS[unit] for n, unit in parts) if parts else float(body)
    return -seconds if sign else seconds


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
