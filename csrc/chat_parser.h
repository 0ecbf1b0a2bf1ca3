// Turns generated text into a stream of content, reasoning and tool calls, while it arrives.
#pragma once

#include "nesting.h"
#include "status.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace pyrunner {

struct ChatPrompt;
struct Output;
class OutputParser;

// A text is read again when it has grown by this share, so that reading costs O(n) in all and not
// O(n^2): text under 256 bytes is read at each feed, a tool call of 20 kB about every 80 bytes.
constexpr size_t kRereadShare = 256;

// A text that cannot be read is shown as it stands once it is this much longer than the part that
// can: by then it is not waiting for the rest of a delimiter.
constexpr size_t kHoldBytes = 128;

// One per request; one thread at a time. Events are JSON, an array of
//   {"type":"text","text":...} | {"type":"reasoning","text":...}
//   | {"type":"tool_call","index":0,"id":...,"name":...,"arguments":...}
// where id and name come whole with the first piece of a call and are empty later. Concatenated
// they are what reading the whole output gives. Output that does not fit the model's own format is
// never an error: what cannot be read comes as content.
class ChatParser {
public:
    ChatParser() noexcept;
    ~ChatParser();
    ChatParser(const ChatParser &) = delete;
    ChatParser & operator=(const ChatParser &) = delete;

    // Once, before everything else. The prompt is not needed afterwards.
    Status open(const ChatPrompt & prompt) noexcept;
    // Takes the next `n_bytes` of output, whole characters. `events` is left empty when there is
    // nothing to report yet. Returns kOk, kBadArgument or kOutOfMemory.
    Status feed(const char * text, size_t n_bytes, std::string & events) noexcept;
    // The last events. `is_truncated` says that the model would have gone on: half a delimiter at
    // the end is then dropped instead of shown.
    Status finish(bool is_truncated, std::string & events) noexcept;
    // After finish(): at least one call, and the arguments of each are a JSON document.
    bool has_whole_calls() const noexcept;

private:
    struct Call {
        std::string id;
        std::string name;
        std::string arguments; // as sent
        bool is_announced = false;
    };
    struct Event {
        enum Kind { kText, kReasoning, kCall } kind = kText;
        std::string text;
        size_t i_call = 0;
        bool is_first = false; // of its call
    };

    void feed_text(std::string_view text);
    void read_again();
    std::optional<Output> read_prefix(size_t n_bytes) const;
    size_t before_delimiter(size_t n_bytes) const;
    void find_readable_prefix(size_t n_bytes);
    void take(const Output & output, size_t n_bytes, bool is_final);
    void take_calls(const Output & output, bool is_final);
    bool extends_sent(const Output & output) const;
    void give_up_reading();
    size_t longest_whole_prefix() const;
    void finish_text(bool is_truncated);
    bool can_append(std::string_view text) const;
    void send(Event::Kind kind, std::string_view text);
    std::string new_call_id();
    std::string take_events();

    std::shared_ptr<const OutputParser> parser_;
    std::mt19937_64 random_;
    bool has_short_ids_ = false;
    NestingBound nesting_{false};

    std::string text_;           // everything fed
    size_t n_tried_ = 0;         // bytes of text_ at the last attempt to read it
    size_t n_read_ = 0;          // bytes of text_ that were read successfully
    size_t n_settled_ = 0;       // bytes of text_ that events account for
    bool is_unreadable_ = false; // from n_settled_ on everything is content
    bool is_tail_open_ = false;  // text_ ends inside the piece that was sent last

    std::string content_; // as sent
    std::string reasoning_;
    std::vector<Call> calls_;
    Event::Kind last_kind_ = Event::kText;
    std::vector<Event> events_;
};

} // namespace pyrunner
