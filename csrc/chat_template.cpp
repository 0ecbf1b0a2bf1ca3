#include "chat_template.h"

#include "chat_output.h"
#include "log_ring.h"
#include "model.h"
#include "nesting.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <utility>

namespace pyrunner {

namespace {

constexpr size_t kMaxErrorBytes = 1000;

std::mutex render_mutex; // guards std::localtime's buffer, which llama.cpp reads

// llama.cpp's words without the picture of the source around them.
std::string short_problem(const std::string & words) {
    static const std::string kMarks[] = {"Error: ", "Automatic parser generation failed: "};
    size_t start = 0;
    for (const std::string & mark : kMarks) {
        const size_t at = words.rfind(mark);
        start = at == std::string::npos ? start : std::max(start, at + mark.size());
    }
    start = std::min(words.find_first_not_of(" \n", start), words.size());
    const size_t end = words.find_last_not_of(" \n");
    const size_t n_bytes = end == std::string::npos || end < start ? 0 : end + 1 - start;
    return words.substr(start, std::min(n_bytes, kMaxErrorBytes));
}

// Parses client text that llama.cpp would otherwise parse (and recurse on) itself.
common_json parse_shallow(const std::string & text, const std::string & what) {
    if (!json_nests_within(text, kMaxJsonDepth)) {
        throw std::invalid_argument(what + ": nested too deep");
    }
    common_json json = common_json::parse_no_throw(text);
    if (json.is_discarded()) {
        throw std::invalid_argument(what + ": not valid JSON");
    }
    return json;
}

void check_properties(const common_json & schema, const std::string & what) {
    if (schema.is_object()) {
        for (const auto & [key, value] : schema.items()) {
            if (key == "properties" && value.size() > kMaxProperties) {
                throw std::invalid_argument(what + ": too many properties in one object");
            }
            check_properties(value, what);
        }
    } else if (schema.is_array()) {
        for (const common_json & item : schema) {
            check_properties(item, what);
        }
    }
}

size_t count(const std::string & text, const std::string & part) {
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        n++;
    }
    return n;
}

std::vector<common_chat_tool> read_tools(const common_json & list) {
    std::vector<common_chat_tool> tools;
    size_t n_bytes = 0;
    for (const common_json & entry : list) {
        common_chat_tool tool;
        tool.name = entry.at("name").get<std::string>();
        tool.description = entry.value("description", "");
        const std::string what = "the parameters of tool '" + tool.name + "'";
        const common_json schema = parse_shallow(entry.at("parameters").get<std::string>(), what);
        if (!schema.is_object()) {
            throw std::invalid_argument(what + ": not a JSON object");
        }
        check_properties(schema, what);
        tool.parameters = schema.dump();
        n_bytes += tool.parameters.size() + tool.description.size();
        if (count(tool.parameters, "\"$ref\"") > kMaxReferences) {
            throw std::invalid_argument(what + ": too many references");
        }
        tools.push_back(std::move(tool));
    }
    if (tools.size() > kMaxTools || n_bytes > kMaxToolBytes) {
        throw std::invalid_argument("there are too many tools, or they are too long");
    }
    return tools;
}

std::vector<common_chat_msg> read_messages(const common_json & list) {
    std::vector<common_chat_msg> messages = common_chat_msgs_parse_oaicompat(list);
    if (messages.empty()) {
        throw std::invalid_argument("there are no messages");
    }
    for (common_chat_msg & message : messages) {
        for (common_chat_tool_call & call : message.tool_calls) {
            // Templates that want an object parse this; an absent one means no arguments.
            call.arguments = call.arguments.empty() ? "{}" : call.arguments;
            if (!json_nests_within(call.arguments, kMaxJsonDepth)) {
                throw std::invalid_argument("the arguments of a tool call: nested too deep");
            }
        }
    }
    return messages;
}

void read_template_kwargs(const std::string & text, common_chat_templates_inputs & inputs) {
    const common_json kwargs = parse_shallow(text, "chat_template_kwargs");
    if (!kwargs.is_object()) {
        throw std::invalid_argument("chat_template_kwargs: not a JSON object");
    }
    for (const auto & [key, value] : kwargs.items()) {
        inputs.chat_template_kwargs[key] = value.dump();
    }
    if (kwargs.contains("enable_thinking")) {
        const common_json & is_enabled = kwargs.at("enable_thinking");
        if (!is_enabled.is_boolean()) {
            throw std::invalid_argument("enable_thinking in chat_template_kwargs is not a boolean");
        }
        inputs.enable_thinking = is_enabled.get<bool>();
    }
}

// A last message of the assistant is the beginning of the answer, as in llama-server.
void choose_continuation(common_chat_templates_inputs & inputs) {
    const std::vector<common_chat_msg> & messages = inputs.messages;
    if (messages.back().role != "assistant") {
        return;
    }
    if (messages.size() > 1 && messages[messages.size() - 2].role == "assistant") {
        throw std::invalid_argument("the conversation ends with two messages of the assistant");
    }
    if (!messages.back().tool_calls.empty()) {
        throw std::invalid_argument("the conversation ends with tool calls that have no results");
    }
    inputs.continue_final_message = COMMON_CHAT_CONTINUATION_AUTO;
    inputs.add_generation_prompt = false;
}

common_chat_templates_inputs read_request(const std::string & request) {
    const common_json json = parse_shallow(request, "the request");
    common_chat_templates_inputs inputs;
    inputs.messages = read_messages(json.at("messages"));
    inputs.tools = read_tools(json.value("tools", common_json::array()));
    inputs.tool_choice = common_chat_tool_choice_parse_oaicompat(json.value("tool_choice", "auto"));
    inputs.parallel_tool_calls = json.value("parallel_tool_calls", true);
    inputs.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
    read_template_kwargs(json.value("template_kwargs", "{}"), inputs);
    choose_continuation(inputs);
    return inputs;
}

// As common_sampler_init in llama.cpp's common/sampling.cpp makes its expressions.
std::string trigger_expression(const common_grammar_trigger & trigger, const Model & model) {
    switch (trigger.type) {
    case COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN: {
        std::string piece;
        model.append_piece(trigger.token, true, piece);
        return regex_escape(piece);
    }
    case COMMON_GRAMMAR_TRIGGER_TYPE_WORD:
        // llama-server waits for the token where the word is one. Spelled in other tokens it is
        // the same call for the parser, so it is the same trigger here.
        return regex_escape(trigger.value);
    case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL:
        return (trigger.value.rfind('^', 0) == 0 ? "" : "^") + trigger.value +
               (!trigger.value.empty() && trigger.value.back() == '$' ? "" : "$");
    default:
        return trigger.value;
    }
}

ToolGrammar take_grammar(common_chat_params & params, const Model & model) {
    ToolGrammar grammar;
    if (params.grammar.empty()) {
        return grammar;
    }
    grammar.text = std::move(params.grammar);
    grammar.is_lazy = params.grammar_lazy;
    for (const common_grammar_trigger & trigger : params.grammar_triggers) {
        grammar.triggers.push_back(trigger_expression(trigger, model));
    }
    grammar.thinking_start = std::move(params.thinking_start_tag);
    grammar.thinking_ends = std::move(params.thinking_end_tags);
    return grammar;
}

// Throws llama.cpp's words about a template that cannot be parsed, which its own init loses.
void check_syntax(const std::string & source) {
    if (!source.empty()) {
        const common_chat_template parsed(source, "", "");
    }
}

} // namespace

ChatTemplates::ChatTemplates() noexcept : templates_(nullptr, common_chat_templates_free) {}

ChatTemplates::~ChatTemplates() = default;

Status ChatTemplates::open(const Model & model, const std::string & override_source) noexcept try {
    if (templates_ != nullptr || !model.is_loaded()) {
        return kBadArgument;
    }
    log_ring_silence_common();
    const std::string source = override_source.empty() ? model.chat_template() : override_source;
    if (const char * problem = template_problem(source)) {
        error_ = problem;
        return kTemplateFailed;
    }
    const std::lock_guard lock(render_mutex);
    check_syntax(source);
    templates_.reset(common_chat_templates_init(model.get(), override_source).release());
    model_ = &model;
    // Mistral's templates refuse tool calls whose ids are not nine letters and digits.
    has_short_ids_ = source.find("[TOOL_CALLS]") != std::string::npos;
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = short_problem(error.what());
    return kTemplateFailed;
}

bool ChatTemplates::is_explicit() const noexcept {
    return templates_ != nullptr && common_chat_templates_was_explicit(templates_.get());
}

Status ChatTemplates::render(const std::string & request, ChatPrompt & prompt) const noexcept try {
    if (templates_ == nullptr) {
        return kBadArgument;
    }
    if (request.size() > kMaxRequestBytes) {
        return kTooLong;
    }
    fill(request, prompt);
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    prompt.error = short_problem(error.what());
    return kTemplateFailed;
}

void ChatTemplates::fill(const std::string & request, ChatPrompt & prompt) const {
    const common_chat_templates_inputs inputs = read_request(request);
    common_chat_params params;
    {
        const std::lock_guard lock(render_mutex);
        params = common_chat_templates_apply(templates_.get(), inputs);
    }
    const bool is_continuation = inputs.continue_final_message != COMMON_CHAT_CONTINUATION_NONE;
    prompt.parser = std::make_shared<const OutputParser>(params, is_continuation);
    prompt.is_plain = prompt.parser->is_plain();
    prompt.has_short_ids = has_short_ids_;
    prompt.tool_grammar = take_grammar(params, *model_);
    prompt.generation_prompt = std::move(params.generation_prompt);
    prompt.text = std::move(params.prompt);
    prompt.stops = std::move(params.additional_stops);
    for (const std::string & text : params.preserved_tokens) {
        std::vector<int32_t> tokens;
        const Status status = model_->tokenize(text.data(), text.size(), false, true, tokens);
        // What is not one token in this vocabulary is ordinary text and needs no care.
        if (status == kOk && tokens.size() == 1) {
            prompt.preserved_tokens.push_back(tokens.front());
        }
    }
}

} // namespace pyrunner
