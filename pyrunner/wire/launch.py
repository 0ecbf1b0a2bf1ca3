"""What a worker is told when it is started: one msgpack document on its standard input.

The starter (`pyrunner.runtime`) writes it, the worker (`pyrunner.worker`) reads it once. Open
descriptors named here are inherited; the worker owns them from then on.
"""

import hashlib

import msgspec

import pyrunner
from pyrunner.config import EngineConfig
from pyrunner.errors import WorkerProtocolError
from pyrunner.types import ModelMode
from pyrunner.wire.frames import PROTOCOL_VERSION

MAX_LAUNCH_BYTES = 32 * 1024
"""Below the 64 KiB a pipe holds, so that writing it never waits for the new process."""

EXIT_S = 8.0
"""How long a worker may take to end after its last request; then a server kills it."""

EXIT_LOAD_FAILED = 3
"""Exit status of a worker whose model could not be loaded."""

EXIT_BROKEN = 4
"""Exit status of a worker whose engine failed; 0 is one that left because it was time to."""


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
    listener_fd: int
    """Bound and listening already, so that nobody has to wait for it to appear."""
    lease_fd: int
    """A locked file that keeps the model's blobs; held open to the end."""
    lease_path: str | None
    """Of that file, which is removed at the end; None when there is nothing to remove."""
    log_level: str = "info"


def config_hash(model_id: str, mode: ModelMode, engine: EngineConfig, draft_id: str = "") -> str:
    """Name what a worker is: two servers share one only if they would start the same.

    The package's version counts too, so that an upgrade replaces the workers it finds.

    Returns:
        16 lower-case hex digits.
    """
    parts = (pyrunner.__version__, PROTOCOL_VERSION, model_id, mode, engine, draft_id)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


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
