#include "chat_parser.h"

#include "chat_output.h"
#include "chat_template.h"

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

namespace pyrunner {

namespace {

constexpr size_t kShortIdLetters = 9; // what Mistral's templates insist on
constexpr size_t kLongIdDigits = 24;

bool starts_with(const std::string & text, const std::string & prefix) {
    return text.compare(0, prefix.size(), prefix) == 0;
}

bool is_inside_character(const std::string & text, size_t at) {
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U;
}

// Runs the body of an entry point. Reading never throws out of it: the rest is memory.
template <typename Body> Status guarded(const Body & body) noexcept {
    try {
        body();
        return kOk;
    } catch (const std::bad_alloc &) {
        return kOutOfMemory;
    } catch (const std::exception &) {
        return kInternal;
    }
}

} // namespace

ChatParser::ChatParser() noexcept = default;
ChatParser::~ChatParser() = default;

Status ChatParser::open(const ChatPrompt & prompt) noexcept {
    if (parser_ != nullptr || prompt.parser == nullptr) {
        return kBadArgument;
    }
    return guarded([&] {
        std::random_device device;
        std::seed_seq seed{device(), device(), device(), device()};
        random_.seed(seed);
        parser_ = prompt.parser;
        has_short_ids_ = prompt.has_short_ids;
        nesting_ = NestingBound(parser_->has_single_quotes());
        if (parser_->is_continuation()) {
            // What the client wrote of the answer is part of the reading, but not news to it.
            if (const auto output = read_prefix(0)) {
                content_ = output->message.content;
                reasoning_ = output->message.reasoning_content;
            }
        }
    });
}

Status ChatParser::feed(const char * text, size_t n_bytes, std::string & events) noexcept {
    if (parser_ == nullptr) {
        return kBadArgument;
    }
    return guarded([&] {
        feed_text(std::string_view(text, n_bytes));
        events = take_events();
    });
}

Status ChatParser::finish(bool is_truncated, std::string & events) noexcept {
    if (parser_ == nullptr) {
        return kBadArgument;
    }
    return guarded([&] {
        finish_text(is_truncated);
        events = take_events();
    });
}

bool ChatParser::has_whole_calls() const noexcept {
    bool is_whole = !calls_.empty();
    const Status status = guarded([&] {
        for (const Call & call : calls_) {
            is_whole = is_whole && call.is_announced &&
                       json_nests_within(call.arguments, kMaxOutputDepth) &&
                       !common_json::parse_no_throw(call.arguments).is_discarded();
        }
    });
    return status == kOk && is_whole;
}

void ChatParser::feed_text(std::string_view text) {
    if (is_unreadable_ || parser_->is_plain()) {
        text_.append(text);
        n_settled_ = text_.size();
        send(Event::kText, text);
        return;
    }
    const size_t n_shallow = nesting_.accept(text);
    if (n_shallow < text.size()) {
        text_.append(text.substr(0, n_shallow));
        read_again();
        text_.append(text.substr(n_shallow));
        if (is_unreadable_) {
            send(Event::kText, text.substr(n_shallow));
            n_settled_ = text_.size();
        } else {
            give_up_reading();
        }
        return;
    }
    const bool is_appended = can_append(text);
    text_.append(text);
    if (is_appended) {
        send(last_kind_, text);
        n_tried_ = n_read_ = n_settled_ = text_.size();
    } else if (text_.size() - n_tried_ >= text_.size() / kRereadShare) {
        read_again();
    }
}

// Whether the new text can only prolong the piece that text_ ends in. Reading all of a long text
// for each token would cost a millisecond per 100 kB.
bool ChatParser::can_append(std::string_view text) const {
    return is_tail_open_ && n_read_ == text_.size() &&
           std::none_of(text.begin(), text.end(), [this](char c) {
               return parser_->starts_delimiter(static_cast<unsigned char>(c));
           });
}

// The length of text_[0, n_bytes) without half a delimiter at its end. Some formats read half a
// delimiter as content, and take it back when it is whole.
size_t ChatParser::before_delimiter(size_t n_bytes) const {
    return n_bytes - parser_->n_half_delimiter(std::string_view(text_).substr(0, n_bytes));
}

void ChatParser::read_again() {
    n_tried_ = text_.size();
    const size_t n_bytes = before_delimiter(text_.size());
    if (n_bytes <= n_read_) {
        return;
    }
    if (const auto output = read_prefix(n_bytes)) {
        take(*output, n_bytes, false);
        return;
    }
    // What was fed at once and what was fed byte by byte must give the same events, so the text is
    // taken as far as it can be read.
    find_readable_prefix(n_bytes);
    if (n_bytes - n_read_ >= kHoldBytes) {
        give_up_reading();
    }
}

// Empty when the first `n_bytes` do not fit the format, or contradict what was sent.
std::optional<Output> ChatParser::read_prefix(size_t n_bytes) const {
    try {
        Output output = parser_->read(std::string_view(text_).substr(0, n_bytes), false);
        if (output.reading != Reading::kFailed && extends_sent(output)) {
            return output;
        }
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception &) { // a text that the parser cannot take is not readable
    }
    return std::nullopt;
}

void ChatParser::find_readable_prefix(size_t n_bytes) {
    size_t good = n_read_;
    size_t bad = n_bytes;
    while (bad - good > 1) {
        const size_t middle = good + (bad - good) / 2;
        const size_t n_middle = before_delimiter(middle);
        (n_middle <= n_read_ || read_prefix(n_middle) ? good : bad) = middle;
    }
    while (good > n_read_ && is_inside_character(text_, good)) {
        good--;
    }
    good = before_delimiter(good);
    if (good > n_read_) {
        if (const auto output = read_prefix(good)) {
            take(*output, good, false);
        }
    }
}

bool ChatParser::extends_sent(const Output & output) const {
    const common_chat_msg & message = output.message;
    if (!starts_with(message.content, content_) ||
        !starts_with(message.reasoning_content, reasoning_) ||
        message.tool_calls.size() < calls_.size()) {
        return false;
    }
    for (size_t i = 0; i < calls_.size(); i++) {
        const Call & sent = calls_[i];
        const common_chat_tool_call & call = message.tool_calls[i];
        if (sent.is_announced &&
            (sent.name != call.name || !starts_with(call.arguments, sent.arguments))) {
            return false;
        }
    }
    return true;
}

// Sends what is new in a reading of the first `n_bytes`.
void ChatParser::take(const Output & output, size_t n_bytes, bool is_final) {
    const common_chat_msg & message = output.message;
    send(Event::kReasoning, std::string_view(message.reasoning_content).substr(reasoning_.size()));
    send(Event::kText, std::string_view(message.content).substr(content_.size()));
    take_calls(output, is_final);
    n_read_ = n_bytes;
    n_settled_ = output.n_settled;
    const bool has_tail = output.n_settled == n_bytes && message.tool_calls.empty();
    is_tail_open_ = has_tail && ((output.tail == TailKind::kContent && !content_.empty()) ||
                                 (output.tail == TailKind::kReasoning && !reasoning_.empty()));
    if (is_tail_open_) {
        last_kind_ = output.tail == TailKind::kContent ? Event::kText : Event::kReasoning;
    }
}

void ChatParser::take_calls(const Output & output, bool is_final) {
    const std::vector<common_chat_tool_call> & found = output.message.tool_calls;
    calls_.resize(std::max(calls_.size(), found.size()));
    for (size_t i = 0; i < found.size(); i++) {
        Call & call = calls_[i];
        const bool is_first = !call.is_announced;
        // Until arguments follow, a name may be the beginning of a longer one.
        const bool is_settled = is_final || !found[i].arguments.empty() || i + 1 < found.size();
        if (found[i].name.empty() || !is_settled) {
            continue;
        }
        if (is_first) {
            call.is_announced = true;
            call.name = found[i].name;
            call.id = found[i].id.empty() ? new_call_id() : found[i].id;
        }
        Event event;
        event.kind = Event::kCall;
        event.i_call = i;
        event.is_first = is_first;
        event.text = found[i].arguments.substr(call.arguments.size());
        call.arguments = found[i].arguments;
        if (is_first || !event.text.empty()) {
            events_.push_back(std::move(event));
        }
    }
}

// From here on the output is content as it stands.
void ChatParser::give_up_reading() {
    is_unreadable_ = true;
    is_tail_open_ = false;
    n_settled_ = longest_whole_prefix();
    send(Event::kText, std::string_view(text_).substr(n_settled_));
    n_settled_ = text_.size();
}

// A model that calls a tool correctly and then talks on: the longest beginning that is an answer
// of its own, so that the delimiters around the call are not shown.
size_t ChatParser::longest_whole_prefix() const {
    const size_t first = std::max(n_settled_, n_read_ - std::min(n_read_, kHoldBytes));
    for (size_t n_bytes = n_read_; n_bytes > first; n_bytes--) {
        try {
            const Output output = parser_->read(std::string_view(text_).substr(0, n_bytes), true);
            if (output.reading == Reading::kWhole && extends_sent(output) &&
                output.message.content == content_ &&
                output.message.reasoning_content == reasoning_) {
                return n_bytes;
            }
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception &) { // not readable, so not whole
        }
    }
    return n_settled_;
}

void ChatParser::finish_text(bool is_truncated) {
    if (is_unreadable_ || parser_->is_plain()) {
        return;
    }
    read_again();
    if (is_unreadable_ || n_settled_ == text_.size()) {
        return;
    }
    if (n_read_ < before_delimiter(text_.size())) {
        give_up_reading();
        return;
    }
    Output output;
    try {
        output = parser_->read(text_, true);
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception &) { // then it is not whole
    }
    if (output.reading == Reading::kWhole && extends_sent(output)) {
        take(output, text_.size(), true);
    } else if (calls_.empty() && !is_truncated) {
        // The answer ended on what might have become a delimiter.
        send(last_kind_, std::string_view(text_).substr(n_settled_));
        n_settled_ = text_.size();
    }
}

void ChatParser::send(Event::Kind kind, std::string_view text) {
    if (text.empty()) {
        return;
    }
    (kind == Event::kText ? content_ : reasoning_).append(text);
    last_kind_ = kind;
    if (!events_.empty() && events_.back().kind == kind) {
        events_.back().text.append(text);
        return;
    }
    Event event;
    event.kind = kind;
    event.text = text;
    events_.push_back(std::move(event));
}

std::string ChatParser::new_call_id() {
    static constexpr std::string_view kLetters =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const auto draw = [this](size_t n_letters, size_t n_drawn) {
        std::uniform_int_distribution<size_t> letter(0, n_letters - 1);
        std::string drawn;
        for (size_t i = 0; i < n_drawn; i++) {
            drawn += kLetters[letter(random_)];
        }
        return drawn;
    };
    return has_short_ids_ ? draw(kLetters.size(), kShortIdLetters)
                          : "call_" + draw(16, kLongIdDigits);
}

std::string ChatParser::take_events() {
    if (events_.empty()) {
        return {};
    }
    common_json list = common_json::array();
    for (const Event & event : events_) {
        if (event.kind == Event::kCall) {
            const Call & call = calls_[event.i_call];
            list.push_back({{"type", "tool_call"},
                            {"index", event.i_call},
                            {"id", event.is_first ? call.id : std::string()},
                            {"name", event.is_first ? call.name : std::string()},
                            {"arguments", event.text}});
        } else {
            list.push_back({{"type", event.kind == Event::kText ? "text" : "reasoning"},
                            {"text", event.text}});
        }
    }
    events_.clear();
    return list.dump_safe();
}

} // namespace pyrunner
