"""Reading a hostile tar forwards: one header at a time, never more of an entry than it may be.

The standard library parses the 512 bytes of a header; its own stream reader would load extended
headers of any size into memory.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Never, Protocol

from pyrunner.errors import REFETCH, ModelFileError
from pyrunner.models.inner_paths import leaves_folder

MAX_ENTRIES = 16_384
"""Entries of one tar, folders included."""
MAX_EXTENDED_BYTES = 64 * 1024
"""Largest extended header (long name, pax records)."""
MAX_REST_BYTES = 1024 * 1024
"""How much behind the end is read, so that whoever writes the tar is not cut off."""
_CHUNK_BYTES = 256 * 1024
_BLOCK_BYTES = tarfile.BLOCKSIZE
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)


class Source(Protocol):
    """Where the bytes come from: a file, a pipe, the body of a request."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class TarFile:
    """One file of the tar."""

    path: str
    """Relative and without ``..``."""
    size_bytes: int


class TarReader:
    """The files of one tar. One thread.

    Args:
        source: Read forwards only.
        name: Whom errors name.
    """

    def __init__(self, source: Source, name: str) -> None:
        self.name = name
        self._source = source
        self._left = 0
        self._padding = 0

    def refuse(self, problem: str) -> Never:
        """Stop: the tar is none, or no model."""
        raise ModelFileError(path=self.name, problem=problem, remedy=REFETCH)

    def files(self) -> Iterator[TarFile]:
        """Every file, in order; folders are passed over, and so is what a file was not read of.

        Raises:
            ModelFileError: Damaged or truncated; an entry would leave the folder, is a link or a
                device; or a limit of this module is exceeded.
        """
        extended: dict[str, str] = {}
        for _ in range(MAX_ENTRIES):
            header = self._header()
            if header is None:
                self._drain()
                return
            if header.type in {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}:
                records = self._pax_records(header)
                extended |= records if header.type != tarfile.XGLTYPE else {}
            elif header.type == tarfile.GNUTYPE_LONGNAME:
                extended["path"] = self._extended(header).rstrip(b"\0").decode(errors="replace")
            else:
                entry = self._entry(header, extended)
                extended = {}
                if entry is not None:
                    yield entry
        self.refuse(f"holds more than {MAX_ENTRIES} entries")

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the file that `files` gave last.

        Raises:
            ModelFileError: The tar ends before the file does.
        """
        while self._left:
            chunk = self._read(min(_CHUNK_BYTES, self._left))
            if not chunk:
                self.refuse(f"is truncated: {self._left} bytes of a file are missing")
            self._left -= len(chunk)
            yield chunk

    def _header(self) -> tarfile.TarInfo | None:
        for _ in self.chunks():
            pass
        self._exactly(self._padding)
        self._padding = 0
        block = self._exactly(_BLOCK_BYTES)
        if not any(block):
            return None
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            self.refuse(f"is no tar file, or damaged ({error})")
        if header.size < 0:
            self.refuse("is damaged: an entry has a negative size")
        return header

    def _entry(self, header: tarfile.TarInfo, extended: dict[str, str]) -> TarFile | None:
        path = self._safe(extended.get("path", header.name))
        if header.type == tarfile.DIRTYPE:
            return None
        if header.type not in _FILES:
            self.refuse(f"holds {path[:100]!r}, which is neither a file nor a folder")
        size = extended.get("size", str(header.size))
        if not size.isdecimal() or len(size) > len(str(2**62)):
            self.refuse(f"holds {path[:100]!r} with the impossible size {size[:40]!r}")
        self._begin(int(size))
        return TarFile(path, int(size))

    def _safe(self, text: str) -> str:
        if leaves_folder(text):
            self.refuse(f"holds {text[:100]!r}, which would leave the folder")
        return str(PurePosixPath(text))

    def _pax_records(self, header: tarfile.TarInfo) -> dict[str, str]:
        # "LENGTH KEY=VALUE\n", LENGTH in decimal and of the whole record.
        content = self._extended(header)
        records = {}
        while content:
            digits, space, _ = content.partition(b" ")
            length = int(digits) if digits.isdigit() and len(digits) < 9 else 0
            record = content[len(digits) + 1 : length]
            key, equals, value = record.partition(b"=")
            if not (space and equals and value.endswith(b"\n")) or length > len(content):
                self.refuse("is damaged: an extended header cannot be read")
            records[key.decode(errors="replace")] = value[:-1].decode(errors="replace")
            content = content[length:]
        return records

    def _extended(self, header: tarfile.TarInfo) -> bytes:
        if header.size > MAX_EXTENDED_BYTES:
            self.refuse(f"has an extended header of more than {MAX_EXTENDED_BYTES} bytes")
        self._begin(header.size)
        return b"".join(self.chunks())

    def _read(self, n_bytes: int) -> bytes:
        try:
            return self._source.read(n_bytes)
        except OSError as error:
            self.refuse(f"could not be read: {(error.strerror or str(error)).lower()}")

    def _begin(self, size_bytes: int) -> None:
        self._left = size_bytes
        self._padding = -size_bytes % _BLOCK_BYTES

    def _exactly(self, n_bytes: int) -> bytes:
        content = b""
        while len(content) < n_bytes:
            chunk = self._read(n_bytes - len(content))
            if not chunk:
                self.refuse("is truncated: its end is missing")
            content += chunk
        return content

    def _drain(self) -> None:
        left = MAX_REST_BYTES
        while left > 0 and (chunk := self._read(min(_CHUNK_BYTES, left))):
            left -= len(chunk)
