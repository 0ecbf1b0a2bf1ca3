"""One kept prefix as a file that describes itself, and is believed only when all of it is right.

::

    magic                8 bytes, with the format's version
    length of the head   4 bytes, little-endian
    SHA-256 of the head  32 bytes
    head                 msgpack: a `Head`
    state                what a lane held, as llama.cpp gave it

The two digests cover everything, and the state's is checked before a byte of it reaches llama.cpp,
which aborts over a state that does not fit. SHA-256 because it comes with Python, lets go of the
GIL, and takes next to nothing of the time that computing the cells takes.
"""

import hashlib
import os
import stat
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Self

import msgspec

from pyrunner.engine.lane_state import S, State
from pyrunner.types import LaneLayout

MAGIC = b"pyrprfx\x01"
SUFFIX = ".prefix"
_DIGEST_BYTES = 32
_TOKEN_BYTES = array("i").itemsize
_START_BYTES = len(MAGIC) + 4 + _DIGEST_BYTES
_BLOCK_BYTES = 1024 * 1024
"""What is hashed or written between two looks at the clock; fits a core's cache."""
_MAX_HEAD_BYTES = _TOKEN_BYTES * 2**24 + 64 * 1024
"""Of the longest context there may be, and room for the key."""
_OTHERS = 0o077


class WrongFileError(Exception):
    """The file is damaged, or not what its name says; never leaves the engine."""


class AnotherFileError(Exception):
    """The file is sound, but not the one that was found before; never leaves the engine."""


class Head(msgspec.Struct, frozen=True):
    """What a file holds and for whom."""

    key: bytes
    """All that its cells depend on beside the tokens; equal or of no use."""
    salt: bytes
    """Of `hidden`."""
    tokens: bytes
    """As an ``array("i")`` lies in memory; the byte order is part of the key."""
    n_lanes: int
    fits_layouts: bool
    """Of the state, which says what these mean."""
    n_state_bytes: int
    state_digest: bytes

    @property
    def n_tokens(self) -> int:
        """How many tokens the state holds."""
        return len(self.tokens) // _TOKEN_BYTES

    @property
    def name(self) -> str:
        """The file's name: equal contents of equal meaning have one, whoever writes them."""
        return file_name(self.key, self.salt, self.tokens, bound_to(self))

    def fits(self, layout: LaneLayout) -> bool:
        """Whether a session with these lanes can restore the state."""
        has_lanes = self.fits_layouts or self.n_lanes == layout.n_lanes
        return has_lanes and self.n_tokens <= layout.n_ctx

    def unpacked(self) -> "array[int]":
        """The tokens."""
        return array("i", self.tokens)


def is_private(status: os.stat_result) -> bool:
    """Whether a file or a folder is this user's and nobody else's."""
    return status.st_uid == os.geteuid() and not status.st_mode & _OTHERS


def hidden(salt: str) -> bytes:
    """A salt as it is written: enough to compare.

    The salt is a tenant's secret and may open other doors. No key is mixed in: it would lie beside
    the file, whose tokens are what the salt protects, and nobody but the owner reads either.
    """
    return hashlib.sha256(b"pyrunner cache_salt\0" + salt.encode("utf-8", "surrogatepass")).digest()


def bound_to(state: "State | Head") -> int:
    """The only number of lanes that a state is of use with; 0 where any is."""
    return 0 if state.fits_layouts else state.n_lanes


def file_name(key: bytes, salt: bytes, tokens: bytes, n_lanes: int) -> str:
    """Name a file by what it means; `n_lanes` as from `bound_to`."""
    digest = hashlib.sha256(b"%d %d %d " % (n_lanes, len(key), len(salt)) + key + salt + tokens)
    return digest.hexdigest()[:32] + SUFFIX


def describe(
    key: bytes, salt: bytes, tokens: bytes, state: State, check: Callable[[], None]
) -> bytes:
    """Make the head of a file; hashes the state. `check` is called per block and may raise."""
    digest = hashlib.sha256()
    with state.view() as view:
        for start in range(0, len(view), _BLOCK_BYTES):
            check()
            digest.update(view[start : start + _BLOCK_BYTES])
    head = Head(
        key=key,
        salt=salt,
        tokens=tokens,
        n_lanes=state.n_lanes,
        fits_layouts=state.fits_layouts,
        n_state_bytes=state.n_bytes,
        state_digest=digest.digest(),
    )
    return msgspec.msgpack.encode(head)


def size_bytes(head: bytes, state: State) -> int:
    """Of the whole file."""
    return _START_BYTES + len(head) + state.n_bytes


def write(fd: int, head: bytes, state: State, check: Callable[[], None]) -> None:
    """Write a whole file from its beginning, durably. `check` as above."""
    start = MAGIC + len(head).to_bytes(4, "little") + hashlib.sha256(head).digest()
    _write_all(fd, memoryview(start + head), check)
    with state.view() as view:
        _write_all(fd, view, check)
    check()
    os.fsync(fd)


def _write_all(fd: int, data: memoryview, check: Callable[[], None]) -> None:
    n_written = 0
    while n_written < len(data):
        check()
        n_written += os.write(fd, data[n_written : n_written + _BLOCK_BYTES])


def read_head(path: Path) -> Head:
    """Read what a file says of itself, checked; its state only by its length.

    Raises:
        WrongFileError: Damaged, not a file of this user alone, or not what its name says.
        OSError: It cannot be read now.
    """
    with _File(path) as file:
        return _head(file, path)


def read(path: Path, expected: Head, blank: Callable[[int, int, int], S]) -> S:
    """Read a state and check every byte of it.

    Args:
        path: Of the file.
        expected: As `read_head` found it.
        blank: Makes a state of so many tokens, bytes and lanes, to be filled.

    Raises:
        WrongFileError: See `read_head`; or the state is damaged.
        AnotherFileError: Somebody has put another there.
        OSError: It cannot be read now.
        MemoryError: No room for it.
    """
    with _File(path) as file:
        if _head(file, path) != expected:
            raise AnotherFileError
        state = blank(expected.n_tokens, expected.n_state_bytes, expected.n_lanes)
        digest = hashlib.sha256()
        with state.view(is_writable=True) as view:
            n_read = 0
            while n_read < len(view):
                block = view[n_read : n_read + _BLOCK_BYTES]
                n = file.readinto(block)
                if not n:
                    _wrong("ends too early")
                digest.update(block[:n])
                n_read += n
        if digest.digest() != expected.state_digest:
            _wrong("is damaged")
    return state


class _File:
    """An open file; unbuffered, because a state goes straight to where it is used."""

    def __init__(self, path: Path) -> None:
        # NONBLOCK: a pipe of that name must not make us wait for its writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(path, flags)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or not is_private(status):
            os.close(fd)
            _wrong("is not a file of this user alone")
        self.size_bytes = status.st_size
        self._raw = os.fdopen(fd, "rb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def readinto(self, view: memoryview) -> int:
        return self._raw.readinto(view) or 0

    def exactly(self, n_bytes: int) -> bytes:
        data = b""
        while len(data) < n_bytes:
            piece = self._raw.read(n_bytes - len(data))
            if not piece:
                _wrong("ends too early")
            data += piece
        return data


def _head(file: _File, path: Path) -> Head:
    start = file.exactly(_START_BYTES)
    n_head_bytes = int.from_bytes(start[len(MAGIC) : len(MAGIC) + 4], "little")
    if not start.startswith(MAGIC) or n_head_bytes > _MAX_HEAD_BYTES:
        _wrong("has another format")
    data = file.exactly(n_head_bytes)
    if hashlib.sha256(data).digest() != start[-_DIGEST_BYTES:]:
        _wrong("has a damaged head")
    try:
        head = msgspec.msgpack.decode(data, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WrongFileError("has another head") from error
    if head.name != path.name or len(head.tokens) % _TOKEN_BYTES:
        _wrong("is not what its name says")
    if file.size_bytes != _START_BYTES + n_head_bytes + head.n_state_bytes:
        _wrong("has another length")
    return head


def _wrong(problem: str) -> NoReturn:
    raise WrongFileError(problem)
