// llama.cpp's log lines, kept in a bounded ring until Python drains them. Any thread.
#pragma once

#include "status.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace pyrunner {

// Lines kept; older ones are overwritten.
constexpr size_t kLogRingLines = 512;

// Makes ggml and llama.cpp log into the ring instead of stderr. Call once.
void log_ring_install() noexcept;

// Keeps the logger of llama.cpp's common quiet, which would start a thread of its own and write to
// stderr. Before anything of common is used; any number of times.
void log_ring_silence_common();

struct LogLine {
    int32_t level = 0; // ggml_log_level: 2 info, 3 warning, 4 error; debug is left out
    std::string text;  // without the line break
};

// Takes the oldest line out of the ring. Returns false when there is none.
bool log_ring_take(LogLine & line) noexcept;

// The error lines logged since `mark`, joined with "; ", at most 1,000 bytes. Does not drain.
std::string log_ring_errors_since(uint64_t mark);

// Why llama.cpp made no context: it swallows the cause and leaves only its words, `errors`.
Status status_of_refusal(const std::string & errors) noexcept;

// A position for log_ring_errors_since.
uint64_t log_ring_mark() noexcept;

} // namespace pyrunner
