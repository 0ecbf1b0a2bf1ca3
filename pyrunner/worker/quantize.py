"""``python -m pyrunner.worker.quantize``: rewrite one model file with smaller weights.

A process of its own, because llama.cpp may abort on a malformed file, and because it is ended by
being killed. The main thread watches the log for progress while native code works in another.
"""

import os
import re
import sys
import threading

from pyrunner._native import drain_log, quantize
from pyrunner._native.status import Status
from pyrunner.engine.threads import n_threads_default
from pyrunner.errors import ModelLoadError, OutOfMemoryError, PyrunnerError
from pyrunner.wire.channel import encode
from pyrunner.wire.frames import Failed, FromWorker, Progress
from pyrunner.wire.quantization import Quantization, decode_quantization

_TENSOR_DONE = re.compile(r"\[ *(\d+)/ *(\d+)\]")
_POLL_S = 0.1


def main() -> int:
    """Do what standard input says; returns the exit status."""
    order = decode_quantization(sys.stdin.buffer.read())
    outcome: list[tuple[int, str]] = []
    thread = threading.Thread(target=lambda: outcome.append(_run(order)), name="quantize")
    thread.daemon = True  # whoever reads our progress may go away, and then so do we
    thread.start()
    while thread.is_alive():
        thread.join(_POLL_S)
        _tell_progress()
    error = _error(order, *outcome[0]) if outcome else OutOfMemoryError(during="quantising")
    if error is None:
        return 0
    _send(Failed(code=error.code, facts=error.facts))
    return 1


def _run(order: Quantization) -> tuple[int, str]:
    return quantize(
        os.fsencode(order.source),
        os.fsencode(order.target),
        order.file_type,
        order.n_threads or n_threads_default(),
    )


def _tell_progress() -> None:
    done = None
    while (line := drain_log()) is not None:
        done = _TENSOR_DONE.match(line[1]) or done
    if done is not None:
        _send(Progress(fraction=int(done[1]) / max(1, int(done[2]))))


def _error(order: Quantization, status: int, words: str) -> PyrunnerError | None:
    match Status(status):
        case Status.OK:
            return None
        case Status.OUT_OF_MEMORY:
            return OutOfMemoryError(during="quantising")
        case _:
            problem = words or f"llama.cpp does not know file type {order.file_type}"
            return ModelLoadError(path=order.source, problem=problem)


def _send(frame: FromWorker) -> None:
    sys.stdout.buffer.write(encode(frame))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
