from pyrunner._native.chat cimport CppChatParser, CppChatPrompt, CppChatTemplates


@cython.no_gc
cdef class ChatTemplates:
    """The chat templates of one model.

    Any thread; calls of `render` take turns. Keeps its model alive.
    """

    cdef CppChatTemplates * native
    cdef Model model

    def __cinit__(self, Model model not None, bytes override not None=b""):
        """Parse the model's templates, or `override` (UTF-8) instead of them.

        Raises:
            TemplateError: The template is not valid, or breaks a limit of csrc/nesting.h.
        """
        cdef string source = override
        cdef CppModel * native_model = model.loaded()
        cdef Status status
        self.native = new CppChatTemplates()
        self.model = model
        with nogil:
            status = self.native.open(deref(native_model), source)
        check(<int> status, "chat template", self.native.error().decode("utf-8", "replace"))

    def __dealloc__(self):
        del self.native

    @property
    def is_explicit(self):
        """False when neither model nor caller brought a template, and ChatML stands in."""
        return self.native.is_explicit()

    def render(self, bytes request not None):
        """Turn a conversation into a prompt. Milliseconds, without the GIL.

        Args:
            request: JSON as csrc/chat_template.h describes it.

        Raises:
            TemplateError: The template refuses the conversation, or the request breaks a limit.
            InvalidParameterError: More than 64 MiB of messages.
        """
        cdef ChatPrompt prompt = ChatPrompt.__new__(ChatPrompt)
        cdef string native_request = request
        cdef Status status
        with nogil:
            status = self.native.render(native_request, prompt.native)
        error = prompt.native.error.decode("utf-8", "replace")
        check(<int> status, "messages" if status == Status.kTooLong else "rendering", error)
        return prompt


cdef class ChatPrompt:
    """What a conversation was rendered to. Made by `ChatTemplates.render`; any thread."""

    cdef CppChatPrompt native

    @property
    def text(self):
        """The prompt; tokenise it with `add_special` and `parse_special`."""
        return self.native.text.decode("utf-8", "replace")

    @property
    def stops(self):
        """Strings (UTF-8 bytes) that end the answer, beside the end-of-generation tokens."""
        return self.native.stops

    @property
    def preserved_tokens(self):
        """Control tokens whose text a `ChatParser` has to be fed."""
        return self.native.preserved_tokens

    @property
    def is_plain(self):
        """Whether the output is content as it stands, so that no `ChatParser` is needed."""
        return self.native.is_plain

    @property
    def grammar(self):
        """How tool calls have to look: GBNF, or an empty string for none."""
        return self.native.tool_grammar.text.decode("utf-8", "replace")

    @property
    def is_grammar_lazy(self):
        """Whether `grammar` holds from the first trigger on only."""
        return self.native.tool_grammar.is_lazy

    @property
    def grammar_triggers(self):
        """Regular expressions over the bytes that were said; see csrc/chat_template.h."""
        return self.native.tool_grammar.triggers

    @property
    def thinking_start(self):
        """What begins a thought, in which there are no triggers; b"" where nothing does."""
        return self.native.tool_grammar.thinking_start

    @property
    def thinking_ends(self):
        """Each of these ends a thought."""
        return self.native.tool_grammar.thinking_ends

    @property
    def generation_prompt(self):
        """The end of `text` that belongs to the answer, for its grammar."""
        return self.native.generation_prompt


cdef class ChatParser:
    """Splits the output for one prompt into events while it arrives. One thread at a time."""

    cdef CppChatParser native

    def __cinit__(self, ChatPrompt prompt not None):
        """Start at the beginning of the answer to `prompt`."""
        check(<int> self.native.open(prompt.native), "chat parser")

    def feed(self, bytes text not None):
        """Take the next piece of output: UTF-8, whole characters. Releases the GIL.

        Returns:
            A JSON array of events as csrc/chat_parser.h describes them, or b"" for none.
        """
        cdef const char * data = text
        cdef size_t n_bytes = len(text)
        cdef string events
        cdef Status status
        with nogil:
            status = self.native.feed(data, n_bytes, events)
        check(<int> status, "chat parser")
        return <bytes> events

    def finish(self, bint is_truncated):
        """Take the end of the output; `is_truncated` when the model would have gone on.

        Returns:
            The last events, as from `feed`.
        """
        cdef string events
        cdef Status status
        with nogil:
            status = self.native.finish(is_truncated, events)
        check(<int> status, "chat parser")
        return <bytes> events

    @property
    def has_whole_calls(self):
        """After `finish`: whether there are tool calls and all their arguments are valid JSON."""
        return self.native.has_whole_calls()
