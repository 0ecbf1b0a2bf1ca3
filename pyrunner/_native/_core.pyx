"""Range checks, the GIL released, one call, a status check, objects. No policy, no loops."""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_WRITABLE
from cython.operator cimport dereference as deref
from libc.stdint cimport int8_t, int32_t, uint64_t
from libcpp cimport bool
from libcpp.string cimport string
from libcpp.vector cimport vector

from pyrunner._native.core cimport (
    CppAdapter, CppDraftHeads, CppDraftModel, CppEmbedder, CppLargePages, CppModel, CppOpenLane,
    CppSession, DraftParams, DraftPart, DryParams, HeadPart, LaneBlob, LogLine, ModelParams,
    SamplerParams, SessionParams, Status, StepPlan, StepResult, TextFrame, backend_commit,
    backend_devices, backend_init, draft_obstacle, is_kv_blob, log_ring_take, native_has_finite,
    native_quantize,
)

from pyrunner._native.status import check
from pyrunner.errors import InvariantError


def init(bytes folder not None):
    """Load the backends in `folder`. Once per process; later calls do nothing."""
    cdef const char * path = folder
    with nogil:
        backend_init(path)


def devices():
    """Names of the devices ggml found, one ``name: description`` per line."""
    return backend_devices().decode("utf-8", "replace")


def commit():
    """The commit of llama.cpp, abbreviated, or ``unknown``."""
    return backend_commit().decode("utf-8", "replace")


def drain_log():
    """Take the oldest native log line: ``(level, text)`` with level 2 info to 4 error, or None."""
    cdef LogLine line
    if not log_ring_take(line):
        return None
    return line.level, line.text.decode("utf-8", "replace")


def has_finite(int file_descriptor, uint64_t offset, uint64_t n_bytes, int32_t kind):
    """Whether numbers of an open file are neither infinite nor NaN. Releases the GIL.

    Args:
        file_descriptor: Where it stands does not change.
        offset: Of the first byte.
        n_bytes: Whole blocks of `kind`.
        kind: A ``ggml_type``: 0 F32, 1 F16, 30 BF16 or 8 Q8_0.

    Returns:
        None when the file cannot be read so far.
    """
    cdef bool is_finite = False
    cdef Status status
    with nogil:
        status = native_has_finite(file_descriptor, offset, n_bytes, kind, is_finite)
    if status == Status.kLoadFailed:
        return None
    check(<int> status, "looking for numbers that are not finite")
    return is_finite


def quantize(bytes source not None, bytes target not None, int32_t file_type, int32_t n_threads):
    """Write the GGUF file `source` to `target` with smaller weights. Releases the GIL.

    Takes minutes; `drain_log` gives a line that begins with ``[ i/ n]`` for each tensor that is
    done. A target that could not be completed is the caller's to remove.

    Args:
        source: Path in the file system's encoding; of a sharded model the first shard.
        target: Path of the one file to write.
        file_type: ``general.file_type`` of the result.
        n_threads: At least 1.

    Returns:
        The csrc status, OK, BAD_ARGUMENT, OUT_OF_MEMORY or LOAD_FAILED, and llama.cpp's words.
    """
    cdef string native_source = source
    cdef string native_target = target
    cdef string error
    cdef Status status
    with nogil:
        status = native_quantize(native_source, native_target, file_type, n_threads, error)
    return <int> status, error.decode("utf-8", "replace")


# SAFETY(native): no_gc, because these objects hold nothing that could reach them back, and the
# collector clears the members of a garbage cycle in any order: a model before the context that
# uses it, the counter before the view that counts on it.
include "_buffers.pxi"
include "_model.pxi"
include "_adapter.pxi"
include "_large_pages.pxi"
include "_lanes.pxi"
include "_session.pxi"
include "_draft.pxi"
include "_heads.pxi"
include "_chat.pxi"
