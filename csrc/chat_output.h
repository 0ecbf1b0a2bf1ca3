// One reading of a model's output: which of it is content, reasoning and tool calls. A thin layer
// over llama.cpp's output parsers; chat_parser.h turns successive readings into a stream.
// Only chat_*.cpp include this header, because it includes llama.cpp's.
#pragma once

#include "chat.h"

#include <bitset>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>

namespace pyrunner {

enum class Reading {
    kFailed, // no continuation of the text fits the format
    kOpen,   // fits so far
    kWhole,  // a complete answer
};

enum class TailKind { kNone, kContent, kReasoning };

struct Output {
    Reading reading = Reading::kFailed;
    common_chat_msg message;
    size_t n_settled = 0;            // bytes of the text up to the end of its last content or
                                     // reasoning
    TailKind tail = TailKind::kNone; // what that last piece is, when it is not empty
};

// Immutable after construction; any thread.
class OutputParser {
public:
    // `params` is what rendering a prompt gave. Throws what llama.cpp throws.
    OutputParser(const common_chat_params & params, bool is_continuation);

    // Reads `text`, all that was generated so far, without half a delimiter at its end.
    // `is_complete` says that nothing follows, which refuses open ends. Throws std::exception.
    Output read(std::string_view text, bool is_complete) const;

    // Whether every output is content as it stands, so that nobody needs to read it.
    bool is_plain() const { return is_plain_; }
    bool is_continuation() const { return is_continuation_; }
    bool has_single_quotes() const { return has_single_quotes_; }
    // Whether a piece of content or reasoning can end before this byte.
    bool starts_delimiter(unsigned char c) const { return delimiter_starts_[c]; }
    // Bytes at the end of `text` that may be the beginning of a delimiter.
    size_t n_half_delimiter(std::string_view text) const;

private:
    void scan_arena();
    bool is_content_only(common_peg_parser_id id, std::string & literals, int & n_contents) const;

    common_peg_arena arena_;
    common_chat_format format_;
    std::string generation_prompt_;
    std::set<std::string> delimiters_;
    std::bitset<256> delimiter_starts_;
    bool is_continuation_;
    bool is_plain_ = false;
    bool has_single_quotes_ = false;
};

} // namespace pyrunner
