// Bounds on nesting. llama.cpp's JSON, schema, template and output parsers recurse on nesting
// depth and would overflow the stack, which no handler can catch; so depth is checked before they
// see a text from outside. Pure functions, any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pyrunner {

// Brackets in a request's JSON: messages, tool schemas, tool arguments, template variables.
// Measured with an 8 MiB stack: the first overflow is between 500 and 2,000. All limits of this
// file together were tried with a stack of 2 MiB.
constexpr int32_t kMaxJsonDepth = 128;
// Brackets in generated text. The parser of tool arguments overflows between 2,000 and 8,000.
constexpr int32_t kMaxOutputDepth = 512;

// Limits of a chat template; the largest values among the 70 templates that llama.cpp collects
// are in parentheses. They bound the depth of its syntax tree, not what it does when it runs: a
// template that calls itself without end takes its own worker down and nobody else.
constexpr size_t kMaxTemplateBytes = size_t{1} << 20; // (16,714)
constexpr size_t kMaxTagBytes = 4096;                 // code of one tag without strings (289)
constexpr int32_t kMaxTagDepth = 64;                  // brackets in one tag (4)
constexpr int32_t kMaxBlockDepth = 64;                // if, for, macro ... in each other (10)
constexpr int32_t kMaxElifs = 500;                    // in the whole template (20)

// Whether brackets outside strings nest at most `limit` deep. The text need not be valid JSON.
bool json_nests_within(std::string_view text, int32_t limit) noexcept;

// nullptr for a template within the limits above, otherwise which one it breaks.
const char * template_problem(std::string_view source) noexcept;

// An upper bound, fed piece by piece, of the bracket depth of any JSON (or Python) value that
// starts anywhere in a text. Where such a value starts is for the output parser to say, so every
// position is taken for a possible start: per lexical state the deepest of all of them is kept.
class NestingBound {
public:
    explicit NestingBound(bool has_single_quotes) noexcept : has_single_quotes_(has_single_quotes) {
        depths_.fill(kNowhere);
        depths_[kPlain] = 0;
    }

    // Returns how many leading bytes of `text` stay within kMaxOutputDepth.
    size_t accept(std::string_view text) noexcept;

private:
    enum State : uint8_t { kPlain, kDouble, kDoubleEscape, kSingle, kSingleEscape, kStates };
    using Depths = std::array<int32_t, kStates>;
    static constexpr int32_t kNowhere = -1; // no start leads to this state here

    void step(char c) noexcept;

    bool has_single_quotes_;
    Depths depths_{};
};

} // namespace pyrunner
