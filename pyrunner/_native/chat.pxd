# What Cython sees of csrc's chat part: declarations only. Contracts are in the headers.

from libc.stdint cimport int32_t
from libcpp cimport bool
from libcpp.string cimport string
from libcpp.vector cimport vector

from pyrunner._native.core cimport CppModel, Status


cdef extern from "chat_template.h" namespace "pyrunner" nogil:
    cdef cppclass CppToolGrammar "pyrunner::ToolGrammar":
        string text
        bool is_lazy
        vector[string] triggers
        string thinking_start
        vector[string] thinking_ends

    cdef cppclass CppChatPrompt "pyrunner::ChatPrompt":
        string text
        vector[string] stops
        vector[int32_t] preserved_tokens
        bool is_plain
        CppToolGrammar tool_grammar
        string generation_prompt
        string error

    cdef cppclass CppChatTemplates "pyrunner::ChatTemplates":
        CppChatTemplates() noexcept
        Status open(const CppModel & model, const string & override_source) noexcept
        const string & error() noexcept
        bool is_explicit() noexcept
        Status render(const string & request, CppChatPrompt & prompt) noexcept


cdef extern from "chat_parser.h" namespace "pyrunner" nogil:
    cdef cppclass CppChatParser "pyrunner::ChatParser":
        CppChatParser() noexcept
        Status open(const CppChatPrompt & prompt) noexcept
        Status feed(const char * text, size_t n_bytes, string & events) noexcept
        Status finish(bool is_truncated, string & events) noexcept
        bool has_whole_calls() noexcept
