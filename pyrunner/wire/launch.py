"""What a worker is told: one msgpack document through the socket that is its standard input.

The starter (`pyrunner.runtime`) writes it, the worker (`pyrunner.worker`) reads it once. Open
descriptors travel with it; the worker owns its copies.
"""

import socket
from typing import NamedTuple

import msgspec

from pyrunner.config import EngineConfig
from pyrunner.errors import WorkerProtocolError
from pyrunner.gguf import FileStamp
from pyrunner.types import ModelMode

MAX_LAUNCH_BYTES = 32 * 1024
"""So few that the socket holds them, and writing never waits for a new process."""

EXIT_S = 8.0
"""How long a worker may take to end after its last request; then a server kills it."""

MAX_SAVE_S = 3.0
"""Of that, for prefixes that are written to disk; those that are not by then are read again."""

EXIT_LOAD_FAILED = 3
"""Exit status of a worker whose model could not be loaded."""

EXIT_BROKEN = 4
"""Exit status of a worker whose engine failed; 0 is one that left because it was time to."""


class Descriptors(NamedTuple):
    """Open descriptors that a worker needs."""

    listener: int
    """Bound and listening already, so that nobody has to wait for it to appear."""
    lease: int
    """A locked file that keeps the model's blobs; held open to the end."""
    log: int
    """A file for its standard output and standard error."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """One model, how to load it, and how long to live."""

    reference: str
    """Canonical name of the first request that wanted the model, for logs and errors."""
    model_id: str
    mode: ModelMode
    weight_paths: tuple[str, ...]
    """GGUF files in shard order, absolute."""
    draft_paths: tuple[str, ...] = ()
    """Those of the model that guesses for this one."""
    has_draft_heads: bool = False
    """Whether the model has heads of its own that are to guess."""
    stamps: tuple[FileStamp, ...] = ()
    """Of all these files, when the server read their headers; none where it did not."""
    mmproj_path: str | None = None
    chat_template_path: str | None = None
    """A template that replaces the one inside the model file."""
    engine: EngineConfig
    """With `n_ctx` and `n_lanes` resolved: never 0."""
    prefix_folder: str | None = None
    """Where prefixes are kept on disk, absolute; None keeps none."""
    keep_alive_s: float
    orphan_grace_s: float
    drain_s: float
    max_queue: int
    config_hash: str
    socket_path: str
    """Where the listener is bound; the worker removes it when it takes no more requests."""
    server_socket: str
    """Of the server that starts the worker, to be taken away should that one be killed."""
    lock_path: str
    """The runtime folder's lock, held meanwhile."""
    lease_path: str | None
    """Of the lease's file, which is removed at the end; None when there is nothing to remove."""
    log_level: str = "info"


def encode_launch(launch: Launch) -> bytes:
    """Write what `decode_launch` reads.

    Raises:
        WorkerProtocolError: Longer than `MAX_LAUNCH_BYTES`, which takes hundreds of shards.
    """
    data = msgspec.msgpack.encode(launch)
    if len(data) > MAX_LAUNCH_BYTES:
        raise WorkerProtocolError(problem=f"launch parameters of {len(data)} bytes")
    return data


def decode_launch(data: bytes) -> Launch:
    """Read launch parameters.

    Raises:
        WorkerProtocolError: They are none.
    """
    try:
        return msgspec.msgpack.decode(data, type=Launch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WorkerProtocolError(problem=str(error)) from error


def send_launch(line: socket.socket, launch: bytes, descriptors: Descriptors) -> None:
    """Write what `receive_launch` reads, and say that this was all.

    Raises:
        OSError: The other side has gone.
    """
    line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MAX_LAUNCH_BYTES)
    n_sent = socket.send_fds(line, [launch], descriptors)
    line.sendall(launch[n_sent:])
    line.shutdown(socket.SHUT_WR)


def receive_launch(line: socket.socket) -> tuple[bytes, Descriptors] | None:
    """Wait for what `send_launch` sends; None when the starter went away instead.

    Still to be decoded, which can fail and is then to be said in the log that came with it.

    Raises:
        WorkerProtocolError: Descriptors are missing.
    """
    data, numbers, _, _ = socket.recv_fds(line, MAX_LAUNCH_BYTES, len(Descriptors._fields))
    if not data:
        return None
    while len(data) <= MAX_LAUNCH_BYTES and (piece := line.recv(MAX_LAUNCH_BYTES)):
        data += piece
    if len(numbers) != len(Descriptors._fields):
        raise WorkerProtocolError(problem=f"{len(numbers)} descriptors came")
    return data, Descriptors(*numbers)
