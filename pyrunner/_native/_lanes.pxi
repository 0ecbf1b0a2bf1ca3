@cython.no_gc
cdef class LaneState:
    """What one lane held, in host memory. Any thread may drop it."""

    cdef LaneBlob blob
    cdef readonly int32_t n_tokens
    cdef readonly int32_t n_lanes  # of the layout it was saved in; the bytes name it

    @staticmethod
    def blank(int32_t n_tokens, size_t n_bytes, int32_t n_lanes):
        """Room for a state that was kept elsewhere: fill all of ``view(is_writable=True)``.

        SAFETY(native): llama.cpp believes most of what a state says, and aborts over some of it.
        Fill in nothing but what `view` once gave, checked, of a session of the same model,
        configuration and build.
        """
        cdef LaneState state = LaneState()
        state.blob.resize(n_bytes)
        state.n_tokens = n_tokens
        state.n_lanes = n_lanes
        return state

    def view(self, bint is_writable=False):
        """Its bytes without a copy, `n_bytes` of them."""
        return _memory(self, <void *> self.blob.data(), <Py_ssize_t> self.blob.size(), b"B", 1,
                       not is_writable)

    @property
    def fits_layouts(self):
        """Whether a session can restore it in another layout than that it was saved in."""
        return is_kv_blob(self.blob, self.n_lanes)

    @property
    def n_bytes(self):
        """Its size."""
        return self.blob.size()


@cython.no_gc
cdef class OpenLane:
    """How the tokens of a sequence without a lane are chosen and become text."""

    cdef CppOpenLane native

    def close(self):
        """Forget it.

        Returns:
            Bytes that were held back, as from `Session.close_lane`.
        """
        cdef string text
        self.native.close(text)
        return <bytes> text
