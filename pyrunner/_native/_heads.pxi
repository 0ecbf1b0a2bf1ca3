@cython.no_gc
cdef class DraftHeads:
    """A model's own draft heads, in lanes that follow those of a session. The session's thread.

    The session may have drafts, and its model was loaded with heads; else the constructor raises
    `UnsupportedParameterError`.
    """

    cdef CppDraftHeads * native
    cdef _SessionMemory session  # its rows are read here, so it must go last

    def __cinit__(self, Session session not None):
        cdef Status status
        self.session = session.memory
        self.native = new CppDraftHeads(deref(session.memory.native))
        with nogil:
            status = self.native.open()
        check(<int> status, "creating the draft heads' context", self.error)

    def __dealloc__(self):
        with nogil:
            del self.native

    @property
    def error(self):
        """Words about the last failure."""
        return self.native.error().decode("utf-8", "replace")

    @property
    def n_ctx(self):
        """Tokens one lane holds."""
        return self.native.n_ctx()

    @property
    def n_most(self):
        """Guesses of one draft at most; 0 is as many as one likes."""
        return self.native.n_most()

    @property
    def lanes_bytes(self):
        """Memory of the cells of all lanes, used or not."""
        return self.native.lanes_bytes()

    def feed(self):
        """Read what the session's last step read and has kept, once. Releases the GIL.

        The lanes are made anew where the session's were.

        Returns:
            How many tokens that were.

        Raises:
            DecodeError: The heads are of no more use.
            OutOfMemoryError: As above, because there is no room for other lanes.
        """
        cdef int32_t n_rows = 0
        cdef Status status
        with nogil:
            status = self.native.feed(n_rows)
        check(<int> status, "feeding the draft heads", self.error)
        return n_rows

    def is_ready(self, int32_t lane, int32_t n_tokens):
        """Whether `guess` can go on from a text of so many tokens, the last of them not read."""
        return self.native.is_ready(lane, n_tokens)

    def guess(self, list parts not None):
        """Guess what comes next, in lanes that are ready, all together. Releases the GIL.

        Args:
            parts: ``{"lane", "n_tokens", "token", "n_most"}`` for each lane, as in
                csrc/draft_heads.h.

        Returns:
            How many guesses each part has, and those of all parts in their order.

        Raises:
            DecodeError: The heads are of no more use.
        """
        cdef vector[HeadPart] native_parts = parts
        cdef vector[int32_t] counts
        cdef vector[int32_t] guesses
        cdef Status status
        with nogil:
            status = self.native.guess(native_parts, counts, guesses)
        check(<int> status, "drafting", self.error)
        return counts, guesses
