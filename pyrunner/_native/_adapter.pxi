@cython.no_gc
cdef class Adapter:
    """Low-rank matrices that change how a model answers; see `Session.set_adapter`.

    Keeps the model alive. Whoever owns the model's session makes it, loads it and lets go of it,
    never while the session steps.
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
        """Why the last `load` failed."""
        return self.native.error().decode("utf-8", "replace")

    def load(self, int file_descriptor):
        """Read an open GGUF file, once; it stays open. Releases the GIL.

        SAFETY(native): `pyrunner.engine.adapter_file` has checked its header: llama.cpp takes some
        tensors that it aborts over when it computes with them.

        Returns:
            The csrc status: OK, OUT_OF_MEMORY or LOAD_FAILED. `error` says why, behind a name.
        """
        cdef Status status
        with nogil:
            status = self.native.load(file_descriptor)
        return <int> status
