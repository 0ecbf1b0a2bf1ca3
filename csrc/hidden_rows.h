// What a model's own draft heads need to know of a session: the hidden state that each row of the
// last step left, and which lanes have become shorter. The session writes, its thread reads.
#pragma once

#include "step_buffers.h"

#include <cstddef>
#include <cstdint>
#include <vector>

struct llama_context;

namespace pyrunner {

struct HiddenRow {
    int32_t lane; // -1: no longer in its lane, as behind a wrong guess
    int32_t position;
    int32_t token;
};

class HiddenRows {
public:
    // A context with empty lanes, whose states have `n_embd` numbers.
    void reset(int32_t n_lanes, int32_t n_embd);
    // Forgets all rows.
    void clear() noexcept;
    // Copies the states of the rows [begin, end) of the plan, all that `context` has just read. It
    // exports all of them, also of rows without an output.
    void add(llama_context * context, const StepPlan & plan, int32_t begin, int32_t end);
    // The lane holds only the first `length` tokens of what it held. Nothing before reset().
    void cut(int32_t lane, int32_t length) noexcept;

    const std::vector<HiddenRow> & rows() const noexcept { return rows_; }
    const float * state(size_t i_row) const noexcept {
        return states_.data() + i_row * static_cast<size_t>(n_embd_);
    }
    int32_t n_embd() const noexcept { return n_embd_; }
    // The shortest that a lane has been since take_shortest(): so much of it is as it was then.
    int32_t shortest(int32_t lane) const noexcept { return shortest_[static_cast<size_t>(lane)]; }
    int32_t take_shortest(int32_t lane) noexcept;

private:
    int32_t n_embd_ = 0;
    std::vector<HiddenRow> rows_;
    std::vector<float> states_;
    std::vector<int32_t> shortest_; // by lane
};

} // namespace pyrunner
