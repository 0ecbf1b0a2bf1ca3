// Bytes of tokens to whole characters, per sequence. Engine thread only.
#pragma once

#include <cstddef>
#include <string>

namespace pyrunner {

// A token can end in the middle of a UTF-8 character. What cannot be decoded yet waits here (at
// most three bytes); what never can becomes U+FFFD, one per maximal bad piece, as Python's
// "replace" error handler and the Unicode standard (3.9, table 3-8) do.
class Utf8Holdback {
public:
    // Takes bytes, appends to `out` all characters that are complete now.
    void push(const char * bytes, size_t n_bytes, std::string & out);
    // The sequence is over: appends U+FFFD when an incomplete character is left.
    void flush(std::string & out);

private:
    std::string pending_;
};

} // namespace pyrunner
