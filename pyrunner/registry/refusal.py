"""What a registry says about why it refuses: OCI's error form, made fit to be shown."""

import msgspec

_MAX_TEXT = 300


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct):
    errors: tuple[_Error, ...] = ()


def explanation(content: bytes) -> str:
    """``" - CODE: message"``, cut and without control characters; empty when it says nothing."""
    try:
        errors = msgspec.json.decode(content, type=_Errors).errors
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    said = "; ".join(f"{each.code}: {each.message}" for each in errors)
    if not said:
        return ""
    return f" - {''.join(c if c.isprintable() else ' ' for c in said)[:_MAX_TEXT]}"
