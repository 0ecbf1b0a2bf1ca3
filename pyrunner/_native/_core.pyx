"""Range checks, the GIL released, one call, a status check, objects. No policy, no loops."""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_WRITABLE
from cython.operator cimport dereference as deref
from libc.stdint cimport int8_t, int32_t
from libcpp.string cimport string
from libcpp.vector cimport vector

from pyrunner._native.core cimport (
    CppEmbedder, CppModel, CppSession, LogLine, ModelParams, SamplerParams, SessionParams, Status,
    StepPlan, StepResult, backend_devices, backend_init, log_ring_take,
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


def drain_log():
    """Take the oldest native log line: ``(level, text)`` with level 1 debug to 4 error, or None."""
    cdef LogLine line
    if not log_ring_take(line):
        return None
    return line.level, line.text.decode("utf-8", "replace")


# SAFETY(native): no_gc, because these objects hold nothing that could reach them back, and the
# collector clears the members of a garbage cycle in any order: a model before the context that
# uses it, the counter before the view that counts on it.
include "_buffers.pxi"
include "_model.pxi"
include "_session.pxi"
include "_chat.pxi"
