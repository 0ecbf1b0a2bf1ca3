// The arrays of one step, allocated once and lent to Python. Plain data, no behaviour.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pyrunner {

constexpr int32_t kMaxLogprobs = 20; // likeliest tokens beside the chosen one; OpenAI's limit

// What a row asks for beyond its KV cells.
enum RowOutput : int8_t {
    kRowSilent = 0, // nothing
    kRowSample = 1, // its lane's sampler chooses the next token
    kRowLogits = 2, // the row of logits can be lent; no sampling
    kRowMasked = 3, // as kRowSample, among the tokens in its mask
};

// What Python writes before begin(). Rows [0, n_decode) are the running sequences, rows
// [n_decode, n_decode + n_chunk) the prompt chunk; each part is sorted by lane, and positions
// continue their lane. A running sequence's first row is the token that was chosen last; those
// after it are its draft: guesses at what will be chosen, each read as if the one before it were
// right.
struct StepPlan {
    std::vector<int32_t> tokens;
    std::vector<int32_t> positions;
    std::vector<int32_t> lanes;
    std::vector<int8_t> outputs; // RowOutput
    // token_mask.h's words for each kRowMasked, in row order. Not initialised, so that the pages of
    // masks that nobody needs are never touched.
    std::unique_ptr<int32_t[]> masks;

    void resize(size_t n_rows) {
        tokens.resize(n_rows);
        positions.resize(n_rows);
        lanes.resize(n_rows);
        outputs.resize(n_rows);
    }
};

// What csrc writes until finish() returns. One entry per row with an output, in row order, but none
// for the rows of a draft behind its first wrong guess.
struct StepResult {
    std::vector<int32_t> lanes;
    std::vector<int32_t> tokens;       // sampled token; -1 for kRowLogits, or when there was none
    std::vector<int8_t> is_end;        // sampled an end-of-generation token
    std::vector<int32_t> text_offsets; // text of entry i is text[offsets[i], offsets[i + 1])
    std::string text;                  // UTF-8, whole characters only
    // Log-softmax of the raw logits, before bias, penalties and temperature. Entry i has the items
    // [offsets[i], offsets[i + 1]): none, or the chosen token and then the likeliest, best first.
    // The bytes of item j are logprob_pieces[piece_offsets[j], piece_offsets[j + 1]): of the chosen
    // token what it adds to the text, of the others their text or, of control tokens, their name.
    std::vector<int32_t> logprob_offsets;
    std::vector<int32_t> logprob_tokens;
    std::vector<float> logprobs;
    std::vector<int32_t> logprob_piece_offsets;
    std::string logprob_pieces;
    int32_t n_outputs = 0;

    void resize(size_t n_entries) {
        lanes.resize(n_entries);
        tokens.resize(n_entries);
        is_end.resize(n_entries);
        text_offsets.resize(n_entries + 1);
        const size_t n_items = n_entries * (1 + static_cast<size_t>(kMaxLogprobs));
        logprob_offsets.resize(n_entries + 1);
        logprob_tokens.resize(n_items);
        logprobs.resize(n_items);
        logprob_piece_offsets.resize(n_items + 1);
    }
    void clear() {
        n_outputs = 0;
        text_offsets[0] = 0;
        text.clear();
        logprob_offsets[0] = 0;
        logprob_piece_offsets[0] = 0;
        logprob_pieces.clear();
    }
};

} // namespace pyrunner
