// Result codes of every entry point that Cython calls. Each has exactly one row in
// pyrunner/_native/status.py; a test compares the two.
#pragma once

#include <cstdint>

namespace pyrunner {

enum Status : int32_t {
    kOk = 0,
    // Part of normal life: values, not errors.
    kNoRoom = 1,    // no KV cells for the rows; memory is unchanged
    kAborted = 2,   // the prompt chunk was interrupted; ask how much of it was committed
    kCancelled = 3, // loading was cancelled by its owner
    // Errors.
    kBadArgument = -1,    // refused before llama.cpp saw it; a bug in the caller
    kOutOfMemory = -2,    // an allocation failed
    kLoadFailed = -3,     // llama.cpp refused the model; error() has its words
    kDecodeFailed = -4,   // a forward pass failed with partial state; the session is dead
    kTemplateFailed = -5, // the chat template raised; error() has its words
    kUnsupported = -6,    // this model cannot do that
    kTooLong = -7,        // more tokens than a context or a ubatch holds
    kInternal = -8,       // a failure nobody expected; its words, if any, are not kept
};

} // namespace pyrunner
