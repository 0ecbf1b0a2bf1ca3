cdef DryParams _dry_params(dict params) except *:
    """The fields that begin with ``dry_``; the breakers are bytes."""
    cdef DryParams native
    native.multiplier = params["dry_multiplier"]
    native.base = params["dry_base"]
    native.allowed_length = params["dry_allowed_length"]
    native.penalty_last_n = params["dry_penalty_last_n"]
    native.sequence_breakers = params["dry_sequence_breakers"]
    return native


cdef class Model:
    """A loaded GGUF model and its vocabulary.

    After `load` every method may be called from any thread; those that can take long release the
    GIL. Sessions and embedders keep their model alive.
    """

    cdef CppModel * native

    def __cinit__(self):
        self.native = new CppModel()

    def __dealloc__(self):
        del self.native

    def load(self, list paths not None, int32_t n_gpu_layers=-1, bint use_mmap=True,
             bint vocab_only=False, bint load_draft_heads=False):
        """Load the shards in `paths` (bytes, file-system encoding), in their order.

        Takes seconds and releases the GIL; `progress` and `cancel` work from other threads.

        SAFETY(native): `load_draft_heads` is for files that have whole ones of a known kind, as
        `pyrunner.gguf.n_draft_heads` says: llama.cpp aborts where a head that is used is not there.

        Returns:
            The csrc status: OK, CANCELLED, LOAD_FAILED or OUT_OF_MEMORY. `error` has llama.cpp's
            words for a failure.
        """
        cdef vector[string] native_paths = paths
        cdef ModelParams params
        cdef Status status
        params.n_gpu_layers = n_gpu_layers
        params.use_mmap = use_mmap
        params.vocab_only = vocab_only
        params.load_draft_heads = load_draft_heads
        with nogil:
            status = self.native.load(native_paths, params)
        return <int> status

    def cancel(self):
        """Stop a running `load`. Any thread."""
        self.native.cancel()

    @property
    def progress(self):
        """Share of the tensors read so far, 0..1. Any thread."""
        return self.native.progress()

    @property
    def error(self):
        """What llama.cpp said about the last failed `load`."""
        return self.native.error().decode("utf-8", "replace")

    cdef CppModel * loaded(self) except NULL:
        if not self.native.is_loaded():
            raise InvariantError("the model is not loaded")
        return self.native

    @property
    def n_vocab(self):
        """Tokens in the vocabulary."""
        return self.loaded().n_vocab()

    @property
    def n_ctx_train(self):
        """Context length the model was trained with, in tokens."""
        return self.loaded().n_ctx_train()

    @property
    def n_embd(self):
        """Numbers in one embedding."""
        return self.loaded().n_embd()

    @property
    def n_params(self):
        """Weights."""
        return self.loaded().n_params()

    @property
    def size_bytes(self):
        """Bytes of all tensors."""
        return self.loaded().size_bytes()

    @property
    def max_piece_bytes(self):
        """No token stands for more bytes of text than this."""
        return self.loaded().max_piece_bytes()

    @property
    def is_causal(self):
        """False for embedding models that look at the whole text at once."""
        return self.loaded().is_causal()

    @property
    def n_scores(self):
        """Numbers that a model which ranks says of a text; 0 of any other model."""
        return self.loaded().n_scores()

    @property
    def text_frame(self):
        """``(begin, end, separator)``: tokens that belong around a text and between two of a pair.

        -1 each where the model wants none.
        """
        cdef TextFrame frame = self.loaded().text_frame()
        return frame.begin, frame.end, frame.separator

    @property
    def is_offloaded(self):
        """Whether layers may be on a GPU."""
        return self.loaded().is_offloaded()

    @property
    def n_draft_heads(self):
        """Blocks that guess what follows the next token, of those that were loaded."""
        return self.loaded().n_draft_heads()

    @property
    def description(self):
        """llama.cpp's one-line description: architecture, size, quantisation."""
        return self.loaded().description().decode("utf-8", "replace")

    @property
    def chat_template(self):
        """The model's own template, or an empty string."""
        return self.loaded().chat_template().decode("utf-8", "replace")

    @property
    def end_of_generation_tokens(self):
        """Tokens that end an answer, ascending."""
        return self.loaded().end_of_generation_tokens()

    def meta(self, str key not None):
        """One scalar metadata value as text; empty when the file has none of that name."""
        return self.loaded().meta(key.encode()).decode("utf-8", "replace")

    def tokenize(self, str text not None, bint add_special=True, bint parse_special=False):
        """Turn text into token ids. Releases the GIL; any thread.

        Args:
            text: Any string that UTF-8 can encode.
            add_special: Add the beginning-of-sequence token, and others, as the model asks.
            parse_special: Turn the text of control tokens into those tokens. Off for text that
                must not be able to fake a turn.

        Raises:
            UnicodeEncodeError: Lone surrogates.
            InvalidParameterError: More than 1 GiB of text or, with some vocabularies, a run of
                more than 16 KiB of letters, white space or signs.
        """
        cdef bytes encoded = text.encode()
        cdef const char * data = encoded
        cdef size_t n_bytes = len(encoded)
        cdef vector[int32_t] tokens
        cdef Status status
        self.loaded()
        with nogil:
            status = self.native.tokenize(data, n_bytes, add_special, parse_special, tokens)
        check(<int> status, "text")
        return tokens

    def detokenize(self, tokens not None, bint render_special=False):
        """Turn token ids into bytes, which need not be whole characters.

        Raises:
            InvariantError: An id outside 0..`n_vocab` - 1.
        """
        cdef vector[int32_t] native_tokens = tokens
        cdef string text
        cdef Status status
        self.loaded()
        with nogil:
            status = self.native.detokenize(native_tokens, render_special, text)
        check(<int> status, "detokenize")
        return <bytes> text

    def prepare_dry(self, dict params not None):
        """Do now what `Session.open_lane` takes long for when it sees these DRY parameters first.

        Releases the GIL; any thread.

        Args:
            params: Those of `open_lane`; what has no ``dry_`` before its name does not matter.
        """
        cdef DryParams native = _dry_params(params)
        cdef Status status
        self.loaded()
        with nogil:
            status = self.native.prepare_dry(native)
        check(<int> status, "preparing DRY")
