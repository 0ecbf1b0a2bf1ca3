#include "log_ring.h"

#include "log.h"

#include <array>
#include <mutex>

#include "ggml.h"
#include "llama.h"

namespace pyrunner {

namespace {

constexpr size_t kMaxLineBytes = 1000;

struct Ring {
    std::mutex mutex; // guards everything below
    std::array<LogLine, kLogRingLines> lines;
    uint64_t n_written = 0;
    uint64_t n_taken = 0;
    std::string open_line; // text that did not end with a line break yet
    int32_t open_level = 0;
    bool is_left_out = false; // what is written now, with all that continues it
};

Ring & ring() {
    static Ring instance;
    return instance;
}

void append_line(Ring & r) {
    LogLine & slot = r.lines[r.n_written % kLogRingLines];
    slot.level = r.open_level;
    slot.text = r.open_line;
    r.open_line.clear();
    r.n_written++;
    if (r.n_written - r.n_taken > kLogRingLines) {
        r.n_taken = r.n_written - kLogRingLines;
    }
}

// Called by llama.cpp from any of its threads; must never take the GIL.
void on_log(ggml_log_level level, const char * text, void * /*user_data*/) {
    Ring & r = ring();
    const std::lock_guard<std::mutex> lock(r.mutex);
    if (level != GGML_LOG_LEVEL_CONT) {
        // A thousand for each context, which would push out everything that somebody wants to know.
        r.is_left_out = level == GGML_LOG_LEVEL_DEBUG;
    }
    if (r.is_left_out) {
        return;
    }
    if (level != GGML_LOG_LEVEL_CONT) {
        r.open_level = static_cast<int32_t>(level);
    }
    for (const char * c = text; *c != '\0'; ++c) {
        if (*c == '\n') {
            append_line(r);
        } else if (r.open_line.size() < kMaxLineBytes) {
            r.open_line.push_back(*c);
        }
    }
}

} // namespace

void log_ring_install() noexcept {
    llama_log_set(on_log, nullptr);
}

void log_ring_silence_common() {
    static std::once_flag once;
    std::call_once(once, [] { common_log_set_verbosity_thold(-1); });
}

bool log_ring_take(LogLine & line) noexcept {
    Ring & r = ring();
    const std::lock_guard<std::mutex> lock(r.mutex);
    if (r.n_taken == r.n_written) {
        return false;
    }
    line = r.lines[r.n_taken % kLogRingLines];
    r.n_taken++;
    return true;
}

Status status_of_refusal(const std::string & errors) noexcept {
    return errors.find("failed to allocate") == std::string::npos ? kLoadFailed : kOutOfMemory;
}

uint64_t log_ring_mark() noexcept {
    Ring & r = ring();
    const std::lock_guard<std::mutex> lock(r.mutex);
    return r.n_written;
}

std::string log_ring_errors_since(uint64_t mark) {
    Ring & r = ring();
    const std::lock_guard<std::mutex> lock(r.mutex);
    const uint64_t oldest = r.n_written > kLogRingLines ? r.n_written - kLogRingLines : 0;
    std::string joined;
    for (uint64_t i = mark > oldest ? mark : oldest; i < r.n_written; i++) {
        const LogLine & line = r.lines[i % kLogRingLines];
        if (line.level != GGML_LOG_LEVEL_ERROR ||
            joined.size() + line.text.size() > kMaxLineBytes) {
            continue;
        }
        joined += joined.empty() ? "" : "; ";
        joined += line.text;
    }
    return joined;
}

} // namespace pyrunner
