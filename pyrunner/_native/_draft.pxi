@cython.no_gc
cdef class DraftModel:
    """Lanes of a second model, which guesses for the first. The session's thread.

    `obstacle` says whether a model can do that; making one that cannot is a bug. Its lanes are its
    own: what they hold does not follow what becomes of the session's.
    """

    cdef CppDraftModel * native
    cdef Model model
    cdef _SessionMemory session  # its threads compute here, so it must go last

    def __cinit__(self, Model model not None, Session session not None, *, int32_t n_ctx,
                  int32_t n_lanes, int32_t n_batch, int32_t flash_attention=-1):
        cdef DraftParams params
        cdef Status status
        params.n_ctx = n_ctx
        params.n_lanes = n_lanes
        params.n_batch = n_batch
        params.flash_attention = flash_attention
        self.model = model
        self.session = session.memory
        self.native = new CppDraftModel(deref(model.loaded()), deref(session.memory.native))
        with nogil:
            status = self.native.open(params)
        check(<int> status, "creating the draft model's context", self.error)

    def __dealloc__(self):
        with nogil:
            del self.native

    @staticmethod
    def obstacle(Model draft not None, Model target not None):
        """Why one model cannot guess for another, behind its name; empty when it can."""
        cdef string words = draft_obstacle(deref(draft.loaded()), deref(target.loaded()))
        return words.decode("utf-8", "replace")

    @property
    def error(self):
        """Words about the last failure."""
        return self.native.error().decode("utf-8", "replace")

    @property
    def n_ctx(self):
        """Tokens one lane holds."""
        return self.native.n_ctx()

    @property
    def n_lanes(self):
        """Lanes there are."""
        return self.native.n_lanes()

    @property
    def n_batch(self):
        """New tokens that one `draft` reads at most."""
        return self.native.n_batch()

    @property
    def lanes_bytes(self):
        """Memory of the cells of all lanes, used or not."""
        return self.native.lanes_bytes()

    def set_layout(self, int32_t n_ctx, int32_t n_lanes):
        """Make all lanes anew, empty. Releases the GIL.

        Raises:
            OutOfMemoryError: They do not fit; nothing but another `set_layout` works then.
        """
        cdef Status status
        with nogil:
            status = self.native.set_layout(n_ctx, n_lanes)
        check(<int> status, "making the draft model's lanes anew", self.error)

    def draft(self, list parts not None, list tokens not None):
        """Read tokens and guess what comes next, in all lanes together. Releases the GIL.

        Args:
            parts: ``{"lane", "n_keep", "n_new", "n_most"}`` for each lane, as in
                csrc/draft_model.h.
            tokens: The new ones of all parts, in their order; at most `n_batch`.

        Returns:
            How many guesses each part has, and those of all parts in their order. Its lane holds
            all but the last of them.

        Raises:
            DecodeError: The lanes hold nobody knows what, until `set_layout`.
        """
        cdef vector[DraftPart] native_parts = parts
        cdef vector[int32_t] native_tokens = tokens
        cdef vector[int32_t] counts
        cdef vector[int32_t] guesses
        cdef Status status
        with nogil:
            status = self.native.draft(native_parts, native_tokens, counts, guesses)
        check(<int> status, "drafting", self.error)
        return counts, guesses
