cdef class LargePages:
    """Weights of a model's mapped files, and their way into pages of 2 MB. One thread.

    Keeps the model alive. Addresses and contents stay, so that other threads may use the model.
    """

    cdef CppLargePages * native
    cdef Model model

    def __cinit__(self, Model model not None):
        self.native = new CppLargePages(deref(model.loaded()))
        self.model = model

    def __dealloc__(self):
        del self.native

    @property
    def n_left_bytes(self):
        """Bytes that `move` would still move: whole large pages."""
        return self.native.n_left_bytes()

    def move(self, uint64_t n_bytes):
        """Move the next `n_bytes`, rounded up to large pages. Releases the GIL.

        Returns:
            Whether the system had memory for it; if not, nothing is left and nothing has changed.
        """
        cdef Status status
        with nogil:
            status = self.native.move(n_bytes)
        return status == Status.kOk
