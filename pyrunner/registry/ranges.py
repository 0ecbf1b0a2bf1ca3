"""Stretches of a blob, and what a partial answer says about itself: pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pyrunner.config import RegistryConfig
from pyrunner.errors import RegistryProtocolError

_CONTENT_LENGTH = re.compile(r"([0-9]{1,19})(?:\s*,\s*\1)*")
"""A proxy may have joined equal headers to a list (RFC 9110, section 8.6)."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


class Span(NamedTuple):
    """The bytes from `first` up to but without `end`."""

    first: int
    end: int

    @property
    def n_bytes(self) -> int:
        """How many."""
        return self.end - self.first


@dataclass(frozen=True, slots=True, kw_only=True)
class RangePlan:
    """How a large blob is divided among connections."""

    n_ranges: int
    """Connections of one blob at once."""
    range_bytes: int
    """What a connection asks for at once."""
    threshold_bytes: int
    """A blob that misses no more comes over one connection."""

    @classmethod
    def of(cls, config: RegistryConfig) -> "RangePlan":
        """The plan that the settings ask for."""
        return cls(
            n_ranges=config.n_ranges,
            range_bytes=config.range_bytes,
            threshold_bytes=config.ranges_above_bytes,
        )

    def is_for(self, holes: Iterable[Span]) -> bool:
        """Whether so much is missing that several connections are worth it."""
        return self.n_ranges > 1 and sum(each.n_bytes for each in holes) > self.threshold_bytes

    def cut(self, holes: Iterable[Span]) -> list[Span]:
        """What to ask for, in the order of the file; pieces end at multiples of `range_bytes`."""
        pieces = []
        for hole in holes:
            first = hole.first
            while first < hole.end:
                end = min(hole.end, (first // self.range_bytes + 1) * self.range_bytes)
                pieces.append(Span(first, end))
                first = end
        return pieces


class Part(NamedTuple):
    """What an answer of 206 says it is."""

    span: Span
    total: int | None
    """Bytes of the whole, None when the server does not know."""


def content_range(headers: Mapping[str, str]) -> Part | None:
    """Read ``Content-Range`` (RFC 9110, section 14.4), None when there is none to believe."""
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if match is None:
        return None
    total = None if match[3] == "*" else int(match[3])
    return Part(Span(int(match[1]), int(match[2]) + 1), total)


def content_length(headers: Mapping[str, str], *, source: str) -> int | None:
    """Read ``Content-Length``, None when there is none.

    Args:
        headers: Of an answer.
        source: Who sent it, for the error.

    Raises:
        RegistryProtocolError: It is no length, or has more than 19 digits.
    """
    text = headers.get("Content-Length")
    if text is None:
        return None
    match = _CONTENT_LENGTH.fullmatch(text.strip())
    if match is None:
        problem = "a Content-Length that is no length"
        raise RegistryProtocolError(registry=source, problem=problem)
    return int(match[1])
