"""Digests: text that has been checked to be one."""

import hashlib
import re
from typing import Self

from pyrunner.errors import InvalidReferenceError

_PREFIX = "sha256:"
_HEX = re.compile(r"[0-9a-f]*")
_N_HEX = 64


class Digest(str):
    """``sha256:`` and 64 lower-case hex digits; every instance is one.

    A string, so that it can be a key and a part of an URL; `text` is the plain one for JSON.
    `hex` is safe as a file name. Other algorithms are refused: no registry of models uses them.

    Raises:
        InvalidReferenceError: The text is no such digest; points at the first wrong character.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check the text; see the class."""
        if not text.startswith(_PREFIX):
            raise InvalidReferenceError(text=text, at=0, problem="a digest starts with 'sha256:'")
        match = _HEX.match(text, len(_PREFIX))
        end = match.end() if match else len(_PREFIX)
        if end != len(text) or len(text) != len(_PREFIX) + _N_HEX:
            at = min(end, len(_PREFIX) + _N_HEX)
            raise InvalidReferenceError(
                text=text, at=at, problem="a sha256 digest has 64 lower-case hex digits"
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, content: bytes) -> Self:
        """The digest of these bytes."""
        return cls(_PREFIX + hashlib.sha256(content).hexdigest())

    @classmethod
    def from_hex(cls, digits: str) -> Self:
        """The digest with these 64 digits."""
        return cls(_PREFIX + digits)

    @property
    def hex(self) -> str:
        """The 64 digits, which name the blob's file."""
        return self[len(_PREFIX) :]

    @property
    def text(self) -> str:
        """The same as a plain string: msgspec encodes no subclasses."""
        return str.__str__(self)

    @property
    def short(self) -> str:
        """The first 12 digits, as lists show them."""
        return self.hex[:12]
