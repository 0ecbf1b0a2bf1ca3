"""The ``Range`` header for one representation of known size (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

_BYTES = re.compile(r"bytes\s*=\s*([0-9]{0,19})\s*-\s*([0-9]{0,19})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Slice:
    """Which bytes to send."""

    start: int
    n_bytes: int

    def content_range(self, size: int) -> str:
        """The header that goes with it, of a representation of `size` bytes."""
        return f"bytes {self.start}-{self.start + self.n_bytes - 1}/{size}"


class UnsatisfiableError(ValueError):
    """The range lies behind the end."""


def parse_range(header: str | None, size: int) -> Slice | None:
    """Read the header; None means all, as for a header that is none or asks for several ranges.

    Raises:
        UnsatisfiableError: One well-formed range of which nothing is there.
    """
    match = _BYTES.fullmatch((header or "").strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    elif last and int(last) < int(first):
        return None
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
    if start >= end:
        raise UnsatisfiableError
    return Slice(start, end - start)
