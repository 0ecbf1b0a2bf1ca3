// The arrays of one step, allocated once and lent to Python. Plain data, no behaviour.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pyrunner {

// What a row asks for beyond its KV cells.
enum RowOutput : int8_t {
    kRowSilent = 0, // nothing
    kRowSample = 1, // its lane's sampler chooses the next token
    kRowLogits = 2, // the row of logits can be lent; no sampling
};

// What Python writes before begin(). Rows [0, n_decode) are the running sequences, rows
// [n_decode, n_decode + n_chunk) the prompt chunk; each part is sorted by lane, and positions
// continue their lane.
struct StepPlan {
    std::vector<int32_t> tokens;
    std::vector<int32_t> positions;
    std::vector<int32_t> lanes;
    std::vector<int8_t> outputs; // RowOutput

    void resize(size_t n_rows) {
        tokens.resize(n_rows);
        positions.resize(n_rows);
        lanes.resize(n_rows);
        outputs.resize(n_rows);
    }
};

// What csrc writes until finish() returns. One entry per row with an output, in row order.
struct StepResult {
    std::vector<int32_t> lanes;
    std::vector<int32_t> tokens;       // sampled token, -1 for kRowLogits
    std::vector<int8_t> is_end;        // sampled an end-of-generation token
    std::vector<int32_t> text_offsets; // text of entry i is text[offsets[i], offsets[i + 1])
    std::string text;                  // UTF-8, whole characters only
    int32_t n_outputs = 0;
    int32_t n_chunk_committed = 0; // rows of the chunk whose KV cells are there

    void resize(size_t n_entries) {
        lanes.resize(n_entries);
        tokens.resize(n_entries);
        is_end.resize(n_entries);
        text_offsets.resize(n_entries + 1);
    }
    void clear() {
        n_outputs = 0;
        n_chunk_committed = 0;
        text_offsets[0] = 0;
        text.clear();
    }
};

} // namespace pyrunner
