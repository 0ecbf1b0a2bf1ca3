"""Smaller weights: a GGUF file quantised by a process of its own."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from pyrunner import gguf
from pyrunner.errors import InvalidParameterError, ModelLoadError, from_facts
from pyrunner.runtime.interpreter import child_environment, module_command
from pyrunner.runtime.processes import how_it_ended
from pyrunner.wire.channel import decoder_of_worker_frames
from pyrunner.wire.frames import Failed, Progress
from pyrunner.wire.quantization import Quantization

_ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}
"""As llama.cpp's own tool reads them."""
_RECEIVE_BYTES = 4096
_STOP_S = 5.0


def file_type_of(name: str) -> int:
    """Look a quantisation up, in upper or lower case.

    Returns:
        ``general.file_type`` of such files.

    Raises:
        InvalidParameterError: There is none of that name; says which there are.
    """
    wanted = _ALIASES.get(name.upper(), name.upper())
    for number, known in gguf.FILE_TYPES.items():
        if known == wanted:
            return number
    known_names = ", ".join(gguf.FILE_TYPES.values())
    raise InvalidParameterError(
        param="--quantize", problem=f"is {name!r}, which is none of {known_names}"
    )


def quantize(
    source: Path, target: Path, file_type: int, on_progress: Callable[[float], None]
) -> None:
    """Write `source` to `target` with smaller weights.

    Takes minutes for large models and uses every core. The same file gives the same bytes.

    Args:
        source: A GGUF file with weights that are not quantised yet; of a sharded model the first
            shard, with the others beside it. Native code sees it next, so the caller has checked
            the headers of all.
        target: The one file to write; taken away again when this does not succeed.
        file_type: See `file_type_of`.
        on_progress: Told the share of the tensors that is done, 0..1. When it raises, the work
            ends with that error.

    Raises:
        ModelLoadError: llama.cpp refuses; says why.
        OutOfMemoryError: Memory ran out.
    """
    order = Quantization(
        source=str(source.absolute()),
        target=str(target.absolute()),
        file_type=file_type,
        n_threads=0,
    )
    process = subprocess.Popen(  # noqa: S603 - our own program
        module_command("pyrunner.worker.quantize"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=child_environment(),
        start_new_session=True,  # Ctrl-C is ours to handle: it ends the process below
    )
    try:
        _talk(process, order, on_progress)
    except BaseException:
        process.kill()
        process.wait()
        target.unlink(missing_ok=True)
        raise


def _talk(
    process: "subprocess.Popen[bytes]", order: Quantization, on_progress: Callable[[float], None]
) -> None:
    """Give the order, pass on the progress, and look how it ended."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both are pipes")
    with process.stdin as stdin:
        stdin.write(msgspec.msgpack.encode(order))
    with process.stdout as stdout:
        _relay(stdout, on_progress)
    status = process.wait(_STOP_S)
    if status != 0:
        problem = f"quantising ended with {how_it_ended(status)}"
        raise ModelLoadError(path=order.source, problem=problem)


def _relay(stdout: IO[bytes], on_progress: Callable[[float], None]) -> None:
    """Pass on what the process says until it closes its output."""
    decoder = decoder_of_worker_frames()
    while data := stdout.read1(_RECEIVE_BYTES):  # type: ignore[attr-defined]  # buffered
        for frame in decoder.feed(data):
            match frame:
                case Progress(fraction=fraction):
                    on_progress(fraction)
                case Failed(code=code, facts=facts):
                    raise from_facts(code, facts)
                case _:
                    raise AssertionError(f"unexpected {type(frame).__name__}")
