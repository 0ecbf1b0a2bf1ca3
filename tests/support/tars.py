"""Tar files made by hand, honest and hostile."""

import io
import tarfile
from collections.abc import Sequence

END = bytes(1024)


def entry(
    name: str,
    content: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    size: int | None = None,
    link: str = "",
) -> bytes:
    """One header and its content; the header's size can be made to lie."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(content) if size is None else size
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


def pax(records: bytes) -> bytes:
    """An extended header with these raw records."""
    return entry("pax", records, kind=tarfile.XHDTYPE)


def record(key: str, value: str) -> bytes:
    """One pax record, which says its own length."""
    rest = f" {key}={value}\n".encode()
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def stream(parts: Sequence[bytes]) -> io.BytesIO:
    """The whole tar, ended as it should be."""
    return io.BytesIO(b"".join(parts) + END)


class Trickle(io.RawIOBase):
    """A source that gives at most seven bytes at a time, as pipes may."""

    def __init__(self, content: bytes) -> None:
        self._source = io.BytesIO(content)

    def read(self, size: int = -1, /) -> bytes:
        return self._source.read(min(7, size) if size >= 0 else 7)
