cdef SamplerParams _sampler_params(dict params) except *:
    """All fields; `dry_sequence_breakers` are bytes."""
    cdef SamplerParams native
    native.temperature = params["temperature"]
    native.dynatemp_range = params["dynatemp_range"]
    native.dynatemp_exponent = params["dynatemp_exponent"]
    native.top_n_sigma = params["top_n_sigma"]
    native.top_k = params["top_k"]
    native.top_p = params["top_p"]
    native.min_p = params["min_p"]
    native.typical_p = params["typical_p"]
    native.xtc_probability = params["xtc_probability"]
    native.xtc_threshold = params["xtc_threshold"]
    native.mirostat = params["mirostat"]
    native.mirostat_tau = params["mirostat_tau"]
    native.mirostat_eta = params["mirostat_eta"]
    native.adaptive_target = params["adaptive_target"]
    native.adaptive_decay = params["adaptive_decay"]
    native.repeat_penalty = params["repeat_penalty"]
    native.repeat_last_n = params["repeat_last_n"]
    native.presence_penalty = params["presence_penalty"]
    native.frequency_penalty = params["frequency_penalty"]
    native.dry = _dry_params(params)
    native.seed = params["seed"]
    native.ignore_eos = params["ignore_eos"]
    return native


@cython.no_gc
cdef class _SessionMemory:
    """Owns the C++ session; everything that lends its memory keeps this alive."""

    cdef CppSession * native
    cdef Model model  # the session reads it, so it must go last
    cdef Adapter adapter  # that it computes with

    def __dealloc__(self):
        with nogil:
            del self.native


@cython.no_gc
cdef class Session:
    """Lanes of KV cache and the step over them. One thread, except `interrupt`.

    A step is `begin(n_decode, n_chunk)` and `finish()`. Before it, fill `plan`: four memoryviews
    ``(tokens, positions, lanes, outputs)``, an item for each row of a step at most, int32 but for
    the int8 `outputs`; running rows first, then the prompt chunk, each sorted by lane. After it,
    read `result`: ``(lanes, tokens, is_end, text_offsets)``, `n_outputs` and `text`. Both are
    memory of csrc; the next `begin` takes the plan and makes the other of its two copies current.

    K and V cells are of a ``ggml_type`` each, 1 is f16; `flash_attention` is 1 on, 0 off, -1 as
    llama.cpp decides. The constructor raises `ContextRefusedError` with its words when it refuses.
    """

    cdef _SessionMemory memory
    cdef _LendCounter counter
    cdef tuple plan_views
    cdef tuple mask_views

    def __cinit__(self, Model model not None, *, int32_t n_ctx, int32_t n_lanes, int32_t n_batch,
                  int32_t n_threads, int32_t type_k=1, int32_t type_v=1,
                  int32_t flash_attention=-1, int32_t n_drafts=0):
        cdef SessionParams params
        cdef Status status
        params.n_ctx = n_ctx
        params.n_lanes = n_lanes
        params.n_batch = n_batch
        params.n_threads = n_threads
        params.type_k = type_k
        params.type_v = type_v
        params.flash_attention = flash_attention
        params.n_drafts = n_drafts
        self.counter = _LendCounter()
        self.memory = _SessionMemory()
        self.memory.model = model
        self.memory.native = new CppSession(deref(model.loaded()))
        with nogil:
            status = self.memory.native.open(params)
        check(<int> status, "creating the context", self.error)
        # begin() alternates between two plans, so the views of both are made once.
        self.plan_views = (self._views_of(0), self._views_of(1))
        self.mask_views = (self._masks_of(0), self._masks_of(1))

    cdef tuple _views_of(self, int i_plan):
        cdef StepPlan * plan = &self.memory.native.plan_at(i_plan)
        cdef Py_ssize_t n_rows = self.memory.native.n_rows_max()
        return (
            _int32s(self.memory, plan.tokens.data(), n_rows, False),
            _int32s(self.memory, plan.positions.data(), n_rows, False),
            _int32s(self.memory, plan.lanes.data(), n_rows, False),
            _int8s(self.memory, plan.outputs.data(), n_rows, False),
        )

    cdef object _masks_of(self, int i_plan):
        cdef Py_ssize_t n_words = self.memory.native.n_mask_words()
        n_words *= self.memory.native.n_masks_max()
        return _int32s(self.memory, self.memory.native.masks_at(i_plan), n_words, False)

    @property
    def error(self):
        """Words about the last failure."""
        return self.memory.native.error().decode("utf-8", "replace")

    @property
    def n_ctx(self):
        """Tokens one lane holds."""
        return self.memory.native.n_ctx()

    @property
    def n_lanes(self):
        """Sequences that can run at once, in the layout there is."""
        return self.memory.native.n_lanes()

    @property
    def n_batch(self):
        """Rows of either part of a step at most."""
        return self.memory.native.n_batch()

    @property
    def plan(self):
        """The plan to fill: ``(tokens, positions, lanes, outputs)``, writable."""
        return self.plan_views[self.memory.native.i_plan()]

    @property
    def n_mask_words(self):
        """Items of one mask: a bit per token of the vocabulary, 32 to an item."""
        return self.memory.native.n_mask_words()

    @property
    def masks(self):
        """Of the plan to fill: which tokens may be sampled, `n_mask_words` int32 for each mask.

        Writable, and undefined until written. There is one mask for each row whose output is 3,
        in the order of the rows. Token t is bit t % 32 of its word t // 32. When no token may be
        sampled, the result's token is -1.
        """
        return self.mask_views[self.memory.native.i_plan()]

    cdef int _refuse_while_lent(self) except -1:
        if self.counter.n_lent:
            raise BufferError("a row of logits is lent; release it before the next step")
        return 0

    def begin(self, int32_t n_decode, int32_t n_chunk):
        """Take the plan and run the pass of its running rows. Releases the GIL.

        Args:
            n_decode: Rows of running sequences, 0..`n_batch`.
            n_chunk: Rows of the prompt chunk after them, 0..`n_batch`.

        Returns:
            OK, or NO_ROOM when nothing has happened.

        Raises:
            BufferError: A row of logits is still lent; the step would overwrite it.
            InvariantError: The plan breaks a rule of csrc/step_buffers.h; nothing has happened.
            DecodeError: The session is dead.
        """
        cdef Status status
        self._refuse_while_lent()
        with nogil:
            status = self.memory.native.begin(n_decode, n_chunk)
        return check(<int> status, "the step", self.error)

    def finish(self):
        """Sample, make text, and run the pass of the chunk. Releases the GIL.

        Returns:
            OK; ABORTED after `interrupt` and NO_ROOM when the chunk did not fit: then `lane_length`
            says how much of it is in the cache, and it has no outputs.

        Raises:
            DecodeError: The session is dead.
        """
        cdef Status status
        with nogil:
            status = self.memory.native.finish()
        return check(<int> status, "the step", self.error)

    def step(self, int32_t n_decode, int32_t n_chunk):
        """`begin` and `finish`, and Python's lock is given and taken once."""
        cdef Status status
        self._refuse_while_lent()
        with nogil:
            status = self.memory.native.begin(n_decode, n_chunk)
            if <int> status == 0:
                status = self.memory.native.finish()
        return check(<int> status, "the step", self.error)

    def interrupt(self):
        """Stop the prompt chunk that is being read, or the next one if none is. Any thread.

        Models with recurrent state read the chunk to its end.
        """
        self.memory.native.interrupt()

    def set_adapter(self, Adapter adapter):
        """Compute with an adapter of this session's model from the next step on, None with none.

        What lanes hold stays, and is of whatever computed it. Another adapter than before makes the
        next step plan its graphs anew.
        """
        cdef CppAdapter * native = NULL
        if adapter is not None:
            native = adapter.native
        check(<int> self.memory.native.set_adapter(native), "setting an adapter")
        self.memory.adapter = adapter

    def set_threads(self, int32_t n_threads):
        """Use so many threads, 1..512, from the next step on."""
        cdef Status status
        with nogil:
            status = self.memory.native.set_threads(n_threads)
        if status != Status.kUnsupported:  # a backend without pools makes its own
            check(<int> status, "setting threads")

    @property
    def n_outputs(self):
        """Entries of `result`."""
        return self.memory.native.result().n_outputs

    @property
    def result(self):
        """Of the last step: ``(lanes, tokens, is_end, text_offsets)``, read-only."""
        cdef const StepResult * result = &self.memory.native.result()
        cdef Py_ssize_t n = result.n_outputs
        return (
            _int32s(self.memory, result.lanes.data(), n, True),
            _int32s(self.memory, result.tokens.data(), n, True),
            _int8s(self.memory, result.is_end.data(), n, True),
            _int32s(self.memory, result.text_offsets.data(), n + 1, True),
        )

    @property
    def logprobs(self):
        """Of the last step: ``(offsets, tokens, logprobs, piece_offsets, pieces)``, read-only.

        Entry i of `result` has the items ``offsets[i]`` to ``offsets[i + 1]``: none, or the chosen
        token and then the likeliest ones, best first. `pieces` are the bytes of all items.
        """
        cdef const StepResult * result = &self.memory.native.result()
        cdef Py_ssize_t n = result.logprob_offsets[result.n_outputs]
        return (
            _int32s(self.memory, result.logprob_offsets.data(), result.n_outputs + 1, True),
            _int32s(self.memory, result.logprob_tokens.data(), n, True),
            _memory(self.memory, <void *> result.logprobs.data(), n, b"f", sizeof(float), True),
            _int32s(self.memory, result.logprob_piece_offsets.data(), n + 1, True),
            <bytes> result.logprob_pieces,
        )

    @property
    def text(self):
        """UTF-8 of all entries of the last step, to be cut at `text_offsets`."""
        return <bytes> self.memory.native.result().text

    def open_lane(self, int32_t lane, dict params not None, *, bias_tokens=(), biases=(),
                  history=(), preserved_tokens=(), int32_t n_logprobs=-1):
        """Give a lane the sampler and the text state of a new sequence.

        Args:
            lane: 0..`n_lanes` - 1.
            params: Fields of csrc's SamplerParams, all of them.
            bias_tokens: Token ids whose logits get the `biases` at the same index.
            biases: See `bias_tokens`.
            history: Tokens the penalties and DRY have seen, oldest first.
            preserved_tokens: Control tokens whose text is part of the answer.
            n_logprobs: -1, or how many likeliest tokens `logprobs` has beside each chosen one,
                0..20.
        """
        cdef SamplerParams native = _sampler_params(params)
        cdef vector[int32_t] native_bias_tokens = bias_tokens
        cdef vector[float] native_biases = biases
        cdef vector[int32_t] native_history = history
        cdef vector[int32_t] native_preserved = preserved_tokens
        cdef Status status
        with nogil:
            status = self.memory.native.open_lane(lane, native, native_bias_tokens, native_biases,
                                                  native_history, native_preserved, n_logprobs)
        check(<int> status, "opening a lane")

    def close_lane(self, int32_t lane):
        """Forget a lane's sampler and text state; cells stay.

        Returns:
            Bytes that were held back: U+FFFD when the text ends inside a character, else empty.
        """
        cdef string text
        check(<int> self.memory.native.close_lane(lane, text), "closing a lane")
        return <bytes> text

    def clear_lane(self, int32_t lane):
        """Empty a lane's cells."""
        check(<int> self.memory.native.clear_lane(lane), "clearing a lane")

    def truncate_lane(self, int32_t lane, int32_t n_keep):
        """Keep the first `n_keep` tokens of a lane, 0..its length.

        Raises:
            UnsupportedParameterError: The model's memory cannot drop a tail; nothing has changed.
        """
        check(<int> self.memory.native.truncate_lane(lane, n_keep), "truncating a lane")

    def move_lane(self, int32_t source, int32_t to):
        """Move cells, sampler and text state to the closed lane `to`, whose cells are lost."""
        cdef Status status
        with nogil:
            status = self.memory.native.move_lane(source, to)
        check(<int> status, "moving a lane")

    def save_lane(self, int32_t lane):
        """Copy a lane's cells into host memory. Releases the GIL.

        Returns:
            A `LaneState`, which `restore_lane` of this session takes any number of times.

        Raises:
            UnsupportedParameterError: This memory type cannot travel.
            OutOfMemoryError: There is no room for the copy.
        """
        cdef LaneState state = LaneState()
        cdef Status status
        with nogil:
            status = self.memory.native.save_lane(lane, state.blob)
        check(<int> status, "saving a lane")
        state.n_tokens = self.memory.native.lane_length(lane)
        state.n_lanes = self.memory.native.n_lanes()
        return state

    def restore_lane(self, int32_t lane, LaneState state not None):
        """Replace the cells of a closed lane by saved ones. Releases the GIL.

        Raises:
            UnsupportedParameterError: This memory type cannot travel, or the layout is another
                one and `fits_layouts` is False; the lane is empty then.
        """
        cdef Status status
        with nogil:
            status = self.memory.native.restore_lane(lane, state.blob, state.n_lanes)
        check(<int> status, "restoring a lane")
        if self.memory.native.lane_length(lane) != state.n_tokens:
            raise InvariantError("a restored lane has another length than the saved one")

    def detach_lane(self, int32_t lane):
        """Close a lane, but keep how its tokens are chosen and become text; cells stay.

        Returns:
            An `OpenLane`, which `attach_lane` takes once.
        """
        cdef OpenLane detached = OpenLane()
        check(<int> self.memory.native.detach_lane(lane, detached.native), "detaching a lane")
        return detached

    def attach_lane(self, int32_t lane, OpenLane detached not None):
        """Open a closed lane with what `detach_lane` kept."""
        check(<int> self.memory.native.attach_lane(lane, detached.native), "attaching a lane")

    def set_layout(self, int32_t n_ctx, int32_t n_lanes):
        """Make all lanes anew; they are closed before and empty after. Releases the GIL.

        Args:
            n_ctx: Tokens in each; llama.cpp rounds it up.
            n_lanes: 1 to as many as the session was made with.

        Raises:
            OutOfMemoryError: They do not fit; nothing but another `set_layout` works then.
            BufferError: A row of logits is lent.
        """
        cdef Status status
        if self.counter.n_lent:
            raise BufferError("a row of logits is lent; release it before the lanes are made anew")
        with nogil:
            status = self.memory.native.set_layout(n_ctx, n_lanes)
        check(<int> status, "making the lanes anew", self.error)

    @property
    def drops_tails(self):
        """Whether `truncate_lane` takes any length: not with recurrent state or sliding windows."""
        return self.memory.native.drops_tails()

    @property
    def drops_guesses(self):
        """Whether there can be drafts: not with recurrent state.

        With sliding windows, where `drops_tails` is False, all lanes of a step that have drafts
        have equally many rows.
        """
        return self.memory.native.drops_guesses()

    @property
    def keeps_hidden(self):
        """Whether it keeps what `DraftHeads` read: there are heads, and `n_drafts` is not 0."""
        return self.memory.native.keeps_hidden()

    @property
    def lanes_bytes(self):
        """Memory of the cells of all lanes, used or not."""
        return self.memory.native.lanes_bytes()

    def lane_length(self, int32_t lane):
        """Tokens in a lane."""
        cdef int32_t length = self.memory.native.lane_length(lane)
        if length < 0:
            raise InvariantError("lane out of range")
        return length

    @property
    def is_lent(self):
        """Whether a row of logits is out, so that `begin` would refuse."""
        return self.counter.n_lent > 0

    def logits(self, int32_t i_output):
        """Lend one row of logits without copying it.

        A read-only memoryview of `n_vocab` float32. The row belongs to the context and the next
        step overwrites it, so `begin` refuses to run while a view is alive: read, then release.

        Args:
            i_output: Index among the outputs of the last step, 0..`n_outputs` - 1. Not a position
                in the prompt, not a lane. Outputs of running rows are gone when the same step
                also read a chunk.

        Raises:
            IndexError: No such output, its row is gone, or a step is between `begin` and `finish`.
        """
        cdef const float * row = self.memory.native.logits(i_output)
        if row == NULL:
            raise IndexError(f"no row of logits for output {i_output}")
        return _memory(self.memory, <void *> row, self.memory.model.n_vocab, b"f", sizeof(float),
                       True, self.counter)


@cython.no_gc
cdef class Embedder:
    """Turns token sequences into vectors, or with a model that ranks into scores.

    In a context of its own. One thread, except `interrupt`.
    """

    cdef CppEmbedder * native
    cdef Model model

    def __cinit__(self, Model model not None, *, int32_t n_ctx, int32_t n_threads):
        cdef Status status
        self.model = model
        self.native = new CppEmbedder(deref(model.loaded()))
        with nogil:
            status = self.native.open(n_ctx, n_threads)
        check(<int> status, "embeddings", self.native.error().decode("utf-8", "replace"))

    def __dealloc__(self):
        with nogil:
            del self.native

    def interrupt(self):
        """Stop the `embed` that is running; without one nothing happens. Any thread."""
        self.native.interrupt()

    def set_threads(self, int32_t n_threads):
        """Use so many threads, 1..512, from the next `embed` on."""
        cdef Status status
        with nogil:
            status = self.native.set_threads(n_threads)
        if status != Status.kUnsupported:  # a backend without pools makes its own
            check(<int> status, "setting threads")

    @staticmethod
    def n_tokens_max(Model model not None, int32_t n_ctx):
        """Tokens of the longest text that `embed` takes with this `n_ctx`. Any thread."""
        return CppEmbedder.n_tokens_max(deref(model.loaded()), n_ctx)

    @property
    def n_out(self):
        """Numbers of each text: the model's `n_embd`, or `n_scores` of one that ranks."""
        return self.native.n_out()

    def embed(self, tokens not None, lengths not None, bint normalize=True):
        """Embed texts packed one after the other. Releases the GIL.

        Args:
            tokens: Token ids of all texts, in order.
            lengths: Tokens of each text, 1..`n_tokens_max`; they add up to ``len(tokens)``.
            normalize: Scale each text's numbers to Euclidean length 1.

        Returns:
            A read-only memoryview of ``len(lengths) * n_out`` float32 that owns its memory; None
            when `interrupt` stopped it, and nothing of it is kept.
        """
        cdef vector[int32_t] native_tokens = tokens
        cdef vector[int32_t] native_lengths = lengths
        cdef _Floats floats = _Floats()
        cdef Status status
        with nogil:
            status = self.native.embed(native_tokens, native_lengths, normalize, floats.values)
        if status == Status.kAborted:
            return None
        check(<int> status, "embedding", self.native.error().decode("utf-8", "replace"))
        return _memory(floats, floats.values.data(), floats.values.size(), b"f", sizeof(float),
                       True)
