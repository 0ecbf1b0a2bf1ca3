"""Frames to bytes and back, without touching a socket.

`encode` makes one frame's bytes; a `Decoder` takes bytes as they arrive and yields whole frames.
Both sides of a connection, blocking or not, use the same two.
"""

import struct
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from pyrunner.errors import WorkerProtocolError
from pyrunner.wire.frames import MAX_FRAME_BYTES, FromServer, FromWorker

_LENGTH = struct.Struct("<I")
_encoder = msgspec.msgpack.Encoder()

FrameT = TypeVar("FrameT")


def encode(frame: FromServer | FromWorker) -> bytes:
    """Make the bytes of one frame.

    Raises:
        WorkerProtocolError: The frame is longer than `MAX_FRAME_BYTES`; nothing was sent.
    """
    body = _encoder.encode(frame)
    if len(body) > MAX_FRAME_BYTES:
        raise WorkerProtocolError(problem=f"a frame of {len(body)} bytes")
    return _LENGTH.pack(len(body)) + body


class Decoder(Generic[FrameT]):
    """Collects bytes of one direction of one connection and yields its frames in order."""

    def __init__(self, decoder: "msgspec.msgpack.Decoder[FrameT]") -> None:
        self._decoder = decoder
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[FrameT]:
        """Add bytes and yield every frame that is now complete.

        Raises:
            WorkerProtocolError: A length above `MAX_FRAME_BYTES` or a body that is no known frame.
        """
        self._pending += data
        while len(self._pending) >= _LENGTH.size:
            (n_bytes,) = _LENGTH.unpack_from(self._pending)
            if n_bytes > MAX_FRAME_BYTES:
                raise WorkerProtocolError(problem=f"a frame of {n_bytes} bytes")
            end = _LENGTH.size + n_bytes
            if len(self._pending) < end:
                return
            body = bytes(self._pending[_LENGTH.size : end])
            del self._pending[:end]
            try:
                yield self._decoder.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise WorkerProtocolError(problem=str(error)) from error


def decoder_of_server_frames() -> Decoder[FromServer]:
    """What a worker reads with."""
    return Decoder(msgspec.msgpack.Decoder(FromServer))


def decoder_of_worker_frames() -> Decoder[FromWorker]:
    """What a server reads with."""
    return Decoder(msgspec.msgpack.Decoder(FromWorker))
