# Memory of csrc as Python buffers.


@cython.no_gc
cdef class _Memory:
    """One-dimensional C memory of somebody else, exported through the buffer protocol.

    Keeps `owner` alive. With `counter` set, every export counts there until it is released, which
    is how a session knows that a row of logits is lent.
    """

    cdef object owner
    cdef _LendCounter counter
    cdef void * data
    cdef Py_ssize_t shape[1]
    cdef Py_ssize_t strides[1]
    cdef bytes item_format
    cdef bint is_readonly

    def __getbuffer__(self, Py_buffer * view, int flags):
        if self.is_readonly and flags & PyBUF_WRITABLE:
            raise BufferError("this memory is read-only")
        view.buf = self.data
        view.obj = self
        view.len = self.shape[0] * self.strides[0]
        view.itemsize = self.strides[0]
        view.readonly = self.is_readonly
        view.ndim = 1
        view.format = <char *> self.item_format if flags & PyBUF_FORMAT else NULL
        # One dimension without gaps, so every consumer may have these two, asked for or not.
        view.shape = self.shape
        view.strides = self.strides
        view.suboffsets = NULL
        view.internal = NULL
        if self.counter is not None:
            self.counter.n_lent += 1

    def __releasebuffer__(self, Py_buffer * view):
        if self.counter is not None:
            self.counter.n_lent -= 1


cdef class _LendCounter:
    """How many views of a session's output memory are out."""

    cdef Py_ssize_t n_lent


cdef object _memory(object owner, void * data, Py_ssize_t n_items, bytes item_format,
                    Py_ssize_t item_bytes, bint is_readonly, _LendCounter counter=None):
    cdef _Memory memory = _Memory()
    memory.owner = owner
    memory.counter = counter
    memory.data = data
    memory.shape[0] = n_items
    memory.strides[0] = item_bytes
    memory.item_format = item_format
    memory.is_readonly = is_readonly
    return memoryview(memory)


cdef object _int32s(object owner, const int32_t * data, Py_ssize_t n_items, bint is_readonly):
    return _memory(owner, <void *> data, n_items, b"i", sizeof(int32_t), is_readonly)


cdef object _int8s(object owner, const int8_t * data, Py_ssize_t n_items, bint is_readonly):
    return _memory(owner, <void *> data, n_items, b"b", sizeof(int8_t), is_readonly)


cdef class _Floats:
    """Owns a vector of floats that csrc filled."""

    cdef vector[float] values
