@cython.no_gc
cdef class Adapter:
    """Low-rank matrices that change how a model answers; see `Session.set_adapter`.

    Keeps the model alive. The session's thread, and not while it steps.
    """

    cdef CppAdapter * native
    cdef Model model  # the adapter is registered with it, so it must go last

    def __cinit__(self, Model model not None):
        self.native = new CppAdapter(deref(model.loaded()))
        self.model = model

    def __dealloc__(self):
        with nogil:
            del self.native

    @property
    def error(self):
        """What llama.cpp said about the last failed `load`."""
        return self.native.error().decode("utf-8", "replace")

    def load(self, bytes path not None):
        """Read a GGUF file, once. Releases the GIL.

        SAFETY(native): `pyrunner.engine.adapter_file` has checked its header: llama.cpp takes some
        tensors that it aborts over when it computes with them.

        Returns:
            The csrc status: OK or LOAD_FAILED. `error` has llama.cpp's words for a failure.
        """
        cdef string native_path = path
        cdef Status status
        with nogil:
            status = self.native.load(native_path)
        return <int> status
