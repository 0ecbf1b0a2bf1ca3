"""What a registry says when it refuses: why, made fit to be shown, and when to come back."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from pyrunner.errors import PushRefusedError, RegistryError, RegistryProtocolError

_READ_ONLY_STATUS = 405
_READ_ONLY_CODE = "UNSUPPORTED"
"""What a registry says to whoever pushes to it and must not (distribution-spec, error codes)."""
_MAX_TEXT = 300


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct):
    errors: tuple[_Error, ...] = ()


def explanation(content: bytes) -> str:
    """OCI's error form as ``" - CODE: message"``, cut and without control characters.

    Returns:
        Nothing when the body says nothing.
    """
    try:
        errors = msgspec.json.decode(content, type=_Errors).errors
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    said = "; ".join(f"{each.code}: {each.message}" for each in errors)
    if not said:
        return ""
    return f" - {''.join(c if c.isprintable() else ' ' for c in said)[:_MAX_TEXT]}"


def refused(registry: str, status: int, said: str, *, is_push: bool) -> RegistryError:
    """The error that a refusal without a meaning of its own stands for.

    Args:
        registry: Whom to name.
        status: Of the answer.
        said: See `explanation`.
        is_push: Something was to be written there.
    """
    problem = f"HTTP {status}{said}"
    is_read_only = status == _READ_ONLY_STATUS or said.startswith(f" - {_READ_ONLY_CODE}:")
    if is_push and is_read_only:
        return PushRefusedError(registry=registry, problem=problem)
    return RegistryProtocolError(registry=registry, problem=problem)


def retry_after_s(header: str) -> float:
    """Seconds a registry asks us to wait, 0 when it does not say."""
    if header.isdecimal():
        return float(header[:9])
    try:
        at = parsedate_to_datetime(header)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return max(0.0, (at - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):  # no date, or one that no clock shows
        return 0.0
