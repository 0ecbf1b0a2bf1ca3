#include "chat_output.h"

#include "chat-peg-parser.h"

#include <algorithm>
#include <memory>
#include <variant>

namespace pyrunner {

namespace {

std::unique_ptr<common_chat_peg_mapper> make_mapper(common_chat_format format,
                                                    common_chat_msg & message) {
    switch (format) {
    case COMMON_CHAT_FORMAT_PEG_GEMMA4:
        return std::make_unique<common_chat_peg_gemma4_mapper>(message);
    case COMMON_CHAT_FORMAT_PEG_MINIMAX_M3:
        return std::make_unique<common_chat_peg_minimax_m3_mapper>(message);
    default:
        return std::make_unique<common_chat_peg_mapper>(message);
    }
}

Reading judge(const common_peg_parse_result & result, size_t n_bytes, bool is_complete) {
    if (result.need_more_input()) {
        return is_complete ? Reading::kFailed : Reading::kOpen;
    }
    // Some formats succeed before the end of a text that goes on with what they do not know.
    return result.success() && result.end >= n_bytes ? Reading::kWhole : Reading::kFailed;
}

} // namespace

OutputParser::OutputParser(const common_chat_params & params, bool is_continuation)
    : format_(params.format), generation_prompt_(params.generation_prompt),
      is_continuation_(is_continuation) {
    if (params.parser.empty()) {
        is_plain_ = true;
        return;
    }
    arena_.load(params.parser);
    scan_arena();
    std::string literals;
    int n_contents = 0;
    is_plain_ = !is_continuation && is_content_only(arena_.root(), literals, n_contents) &&
                n_contents == 1 && literals == generation_prompt_;
}

void OutputParser::scan_arena() {
    for (common_peg_parser_id id = 0; id < arena_.size(); id++) {
        const common_peg_parser_variant & parser = arena_.get(id);
        if (const auto * until = std::get_if<common_peg_until_parser>(&parser)) {
            for (const std::string & delimiter : until->delimiters) {
                if (!delimiter.empty()) {
                    delimiter_starts_.set(static_cast<unsigned char>(delimiter.front()));
                    delimiters_.insert(delimiter);
                }
            }
        } else if (const auto * quoted = std::get_if<common_peg_string_parser>(&parser)) {
            has_single_quotes_ = has_single_quotes_ || quoted->delimiter == '\'';
        }
    }
}

// Whether the parser is literals, then all the rest as content.
bool OutputParser::is_content_only(common_peg_parser_id id,
                                   std::string & literals,
                                   int & n_contents) const {
    const common_peg_parser_variant & parser = arena_.get(id);
    if (const auto * sequence = std::get_if<common_peg_sequence_parser>(&parser)) {
        return std::all_of(
            sequence->children.begin(), sequence->children.end(), [&](common_peg_parser_id child) {
                return is_content_only(child, literals, n_contents);
            });
    }
    if (const auto * literal = std::get_if<common_peg_literal_parser>(&parser)) {
        literals += literal->literal;
        return n_contents == 0;
    }
    if (const auto * tag = std::get_if<common_peg_tag_parser>(&parser)) {
        const auto * rest = std::get_if<common_peg_until_parser>(&arena_.get(tag->child));
        n_contents++;
        return tag->tag == common_chat_peg_builder::CONTENT && rest != nullptr &&
               rest->delimiters.empty();
    }
    return std::holds_alternative<common_peg_epsilon_parser>(parser) ||
           std::holds_alternative<common_peg_end_parser>(parser);
}

size_t OutputParser::n_half_delimiter(std::string_view text) const {
    size_t n_half = 0;
    for (const std::string & delimiter : delimiters_) {
        for (size_t n = std::min(delimiter.size() - 1, text.size()); n > n_half; n--) {
            if (text.compare(text.size() - n, n, delimiter, 0, n) == 0) {
                n_half = n;
            }
        }
    }
    return n_half;
}

Output OutputParser::read(std::string_view text, bool is_complete) const {
    const size_t n_prefix = generation_prompt_.size();
    std::string input;
    input.reserve(n_prefix + text.size());
    input.append(generation_prompt_).append(text);

    common_peg_parse_context context(
        input, is_complete ? COMMON_PEG_PARSE_FLAG_NONE : COMMON_PEG_PARSE_FLAG_LENIENT);
    const common_peg_parse_result result = arena_.parse(context);

    Output output;
    output.reading = judge(result, input.size(), is_complete);
    if (output.reading == Reading::kFailed) {
        return output;
    }
    make_mapper(format_, output.message)->from_ast(context.ast, result);
    context.ast.visit(result, [&](const common_peg_ast_node & node) {
        const bool is_content = node.tag == common_chat_peg_builder::CONTENT;
        const bool is_reasoning = node.tag == common_chat_peg_builder::REASONING;
        if ((!is_content && !is_reasoning) || node.end < n_prefix + output.n_settled) {
            return;
        }
        output.n_settled = node.end - n_prefix;
        output.tail = node.end == node.start ? TailKind::kNone
                      : is_content           ? TailKind::kContent
                                             : TailKind::kReasoning;
    });
    return output;
}

} // namespace pyrunner
