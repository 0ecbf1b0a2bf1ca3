"""What the process that quantises a model is told, and what it answers.

One `Quantization` as msgpack on its standard input; on its standard output frames as
`wire.channel` writes them: any number of `Progress`, then nothing, or one `Failed`.
"""

import msgspec

from pyrunner.errors import WorkerProtocolError


class Quantization(msgspec.Struct, frozen=True, kw_only=True):
    """One file to rewrite with smaller weights."""

    source: str
    """GGUF file, absolute; of a sharded model the first shard under its own name."""
    target: str
    """File to write; it may exist, partly, when the process fails."""
    file_type: int
    """``general.file_type`` of the result."""
    n_threads: int
    """0: as many as the machine has cores to give."""


def decode_quantization(data: bytes) -> Quantization:
    """Read what the process was told.

    Raises:
        WorkerProtocolError: It is nothing of that kind.
    """
    try:
        return msgspec.msgpack.decode(data, type=Quantization)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WorkerProtocolError(problem=str(error)) from error
