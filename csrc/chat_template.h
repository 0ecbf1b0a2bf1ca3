// Chat templates: a conversation becomes a prompt. Over llama.cpp's common.
#pragma once

#include "status.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct common_chat_templates;

namespace pyrunner {

class Model;
class OutputParser;

// Limits of one request, beside those of nesting.h. Tools are turned into a parser and a grammar
// at a cost that grows faster than their number.
constexpr size_t kMaxRequestBytes = size_t{64} << 20;
constexpr size_t kMaxTools = 512;
constexpr size_t kMaxToolBytes = size_t{1} << 20; // schemas of all tools
constexpr size_t kMaxProperties = 256;            // of one object in a schema
constexpr size_t kMaxReferences = 256;            // "$ref"s of one schema; a chain of them recurses

// How tool calls have to look, as llama.cpp derives it from the template and the tools. Plain data.
struct ToolGrammar {
    std::string text; // GBNF with the rule "root"; empty for none
    // The grammar holds from the first trigger on; else from the first character.
    bool is_lazy = false;
    // Of a lazy grammar: ECMAScript regular expressions over the text that was said. The grammar
    // gets the text from the first group that is not empty on, or else from the match on.
    std::vector<std::string> triggers;
    // Triggers are no triggers between the start of a thought and the first of its ends; empty
    // where the template has no such marks.
    std::string thinking_start;
    std::vector<std::string> thinking_ends;
};

// What a conversation was rendered to. Plain data; any thread once filled.
struct ChatPrompt {
    std::string text; // to be tokenised with add_special and parse_special
    std::vector<std::string> stops;
    // Control tokens whose text the output parser needs to see.
    std::vector<int32_t> preserved_tokens;
    // The output is content as it stands: a ChatParser would change nothing.
    bool is_plain = false;
    ToolGrammar tool_grammar;
    // The end of `text` that already belongs to the answer: what a grammar that is not lazy, and
    // the search for a thought, begin with.
    std::string generation_prompt;
    // For ChatParser.
    bool has_short_ids = false;
    std::shared_ptr<const OutputParser> parser;
    // Why rendering failed: one sentence, at most 1,000 bytes.
    std::string error;
};

// The templates of one model. After open(), render() may be called from any thread; calls take
// turns, over all objects, because llama.cpp formats dates with std::localtime.
class ChatTemplates {
public:
    ChatTemplates() noexcept;
    ~ChatTemplates();
    ChatTemplates(const ChatTemplates &) = delete;
    ChatTemplates & operator=(const ChatTemplates &) = delete;

    // `model` must outlive this. `override_source` replaces the model's templates when not empty;
    // without either, ChatML is used. Returns kOk, kBadArgument, kTemplateFailed, kOutOfMemory.
    Status open(const Model & model, const std::string & override_source) noexcept;
    const std::string & error() const noexcept { return error_; } // of open()
    // Whether the model or the override brought a template.
    bool is_explicit() const noexcept;

    // `request` is a JSON object:
    //   messages             as in OpenAI's API: role, content, name, tool_calls, tool_call_id,
    //                        and reasoning_content
    //   tools                [{"name","description","parameters": JSON text}]
    //   tool_choice          "auto", "none" or "required"
    //   parallel_tool_calls  bool
    //   template_kwargs      JSON text: an object of variables for the template
    // A last message of the assistant is continued. Takes milliseconds. Returns kOk,
    // kBadArgument (not open), kTemplateFailed (prompt.error says why), kTooLong, kOutOfMemory.
    Status render(const std::string & request, ChatPrompt & prompt) const noexcept;

private:
    void fill(const std::string & request, ChatPrompt & prompt) const;

    const Model * model_ = nullptr;
    std::unique_ptr<common_chat_templates, void (*)(common_chat_templates *)> templates_;
    bool has_short_ids_ = false;
    std::string error_;
};

} // namespace pyrunner
