#include "nesting.h"

#include <algorithm>
#include <cctype>

namespace pyrunner {

namespace {

// Of JSON and Python values.
bool is_opener(char c) {
    return c == '[' || c == '{';
}

bool is_closer(char c) {
    return c == ']' || c == '}';
}

bool starts_with(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}

// What one {{ ... }} or {% ... %} holds.
struct Tag {
    std::string_view code; // between the delimiters
    size_t n_code_bytes = 0;
    int32_t depth = 0;
    bool has_assignment = false;
};

// The position behind the string literal that starts at `at`.
size_t skip_string(std::string_view text, size_t at) {
    const char quote = text[at];
    for (at++; at < text.size() && text[at] != quote; at++) {
        at += text[at] == '\\' ? 1 : 0;
    }
    return at + 1;
}

// Reads the tag whose code starts at `at` and returns the position behind it.
size_t read_tag(std::string_view source, size_t at, bool is_statement, Tag & tag) {
    const size_t start = at;
    int32_t depth = 0;
    while (at < source.size()) {
        const std::string_view rest = source.substr(at);
        if (is_statement ? starts_with(rest, "%}") : depth <= 0 && starts_with(rest, "}}")) {
            break;
        }
        if (source[at] == '"' || source[at] == '\'') {
            at = skip_string(source, at);
            tag.n_code_bytes++;
            continue;
        }
        depth += is_opener(source[at]) || source[at] == '(' ? 1 : 0;
        depth -= is_closer(source[at]) || source[at] == ')' ? 1 : 0;
        tag.depth = std::max(tag.depth, depth);
        tag.has_assignment = tag.has_assignment || (source[at] == '=' && depth == 0);
        tag.n_code_bytes += std::isspace(static_cast<unsigned char>(source[at])) != 0 ? 0 : 1;
        at++;
    }
    at = std::min(at, source.size());
    tag.code = source.substr(start, at - start);
    return at + 2;
}

std::string_view first_word(std::string_view code) {
    const auto is_space_or_sign = [](char c) {
        return std::isspace(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '+';
    };
    const auto is_letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
    const auto * begin = std::find_if_not(code.begin(), code.end(), is_space_or_sign);
    const auto * end = std::find_if_not(begin, code.end(), is_letter);
    return code.substr(static_cast<size_t>(begin - code.begin()), static_cast<size_t>(end - begin));
}

bool opens_block(std::string_view word, const Tag & tag) {
    return word == "if" || word == "for" || word == "macro" || word == "call" || word == "filter" ||
           word == "generation" || (word == "set" && !tag.has_assignment);
}

} // namespace

bool json_nests_within(std::string_view text, int32_t limit) noexcept {
    int32_t depth = 0;
    bool is_string = false;
    for (size_t i = 0; i < text.size(); i++) {
        const char c = text[i];
        if (is_string) {
            i += c == '\\' ? 1 : 0;
            is_string = c != '"';
        } else if (c == '"') {
            is_string = true;
        } else if (is_opener(c)) {
            if (++depth > limit) {
                return false;
            }
        } else if (is_closer(c)) {
            depth--;
        }
    }
    return true;
}

const char * template_problem(std::string_view source) noexcept {
    if (source.size() > kMaxTemplateBytes) {
        return "the template is larger than 1 MiB";
    }
    int32_t block_depth = 0;
    int32_t n_elifs = 0;
    size_t at = source.find('{');
    while (at != std::string_view::npos && at + 1 < source.size()) {
        const char kind = source[at + 1];
        if (kind == '#') {
            const size_t end = source.find("#}", at + 2);
            at = end == std::string_view::npos ? end : source.find('{', end + 2);
            continue;
        }
        if (kind != '{' && kind != '%') {
            at = source.find('{', at + 1);
            continue;
        }
        Tag tag;
        at = read_tag(source, at + 2, kind == '%', tag);
        if (tag.n_code_bytes > kMaxTagBytes || tag.depth > kMaxTagDepth) {
            return "an expression of the template is too long or nests too deep";
        }
        if (kind == '%') {
            const std::string_view word = first_word(tag.code);
            block_depth += opens_block(word, tag) ? 1 : 0;
            block_depth -= starts_with(word, "end") ? 1 : 0;
            n_elifs += word == "elif" ? 1 : 0;
        }
        if (block_depth > kMaxBlockDepth || n_elifs > kMaxElifs) {
            return "the blocks of the template nest too deep";
        }
        at = at < source.size() ? source.find('{', at) : std::string_view::npos;
    }
    return nullptr;
}

void NestingBound::step(char c) noexcept {
    Depths next;
    next.fill(kNowhere);
    next[kPlain] = 0; // a value may start behind any byte
    const auto reach = [&next](State state, int32_t depth) {
        next[state] = std::max(next[state], depth);
    };
    const int32_t plain = depths_[kPlain];
    if (c == '"') {
        reach(kDouble, plain);
    } else if (c == '\'' && has_single_quotes_) {
        reach(kSingle, plain);
    } else if (is_opener(c)) {
        reach(kPlain, plain + 1);
    } else if (is_closer(c)) {
        reach(kPlain, std::max(plain - 1, 0));
    } else {
        reach(kPlain, plain);
    }
    const auto step_string = [&](State string, State escape, char quote) {
        reach(string, depths_[escape]);
        if (c == quote) {
            reach(kPlain, depths_[string]);
        } else {
            reach(c == '\\' ? escape : string, depths_[string]);
        }
    };
    step_string(kDouble, kDoubleEscape, '"');
    step_string(kSingle, kSingleEscape, '\'');
    depths_ = next;
}

size_t NestingBound::accept(std::string_view text) noexcept {
    for (size_t i = 0; i < text.size(); i++) {
        const Depths before = depths_;
        step(text[i]);
        if (depths_[kPlain] > kMaxOutputDepth) {
            depths_ = before;
            return i;
        }
    }
    return text.size();
}

} // namespace pyrunner
