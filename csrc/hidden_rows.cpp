#include "hidden_rows.h"

#include <algorithm>
#include <utility>

#include "llama-ext.h"
#include "llama.h"

namespace pyrunner {

void HiddenRows::reset(int32_t n_lanes, int32_t n_embd) {
    clear();
    n_embd_ = n_embd;
    shortest_.assign(static_cast<size_t>(n_lanes), 0);
}

void HiddenRows::clear() noexcept {
    rows_.clear();
    states_.clear();
}

void HiddenRows::add(llama_context * context, const StepPlan & plan, int32_t begin, int32_t end) {
    const float * states = llama_get_embeddings_nextn(context);
    if (states == nullptr) {
        return;
    }
    for (int32_t i = begin; i < end; i++) {
        const auto row = static_cast<size_t>(i);
        rows_.push_back({plan.lanes[row], plan.positions[row], plan.tokens[row]});
    }
    const auto n_numbers = static_cast<size_t>(end - begin) * static_cast<size_t>(n_embd_);
    states_.insert(states_.end(), states, states + n_numbers);
}

void HiddenRows::cut(int32_t lane, int32_t length) noexcept {
    if (shortest_.empty()) {
        return;
    }
    int32_t & shortest = shortest_[static_cast<size_t>(lane)];
    shortest = std::min(shortest, length);
    for (HiddenRow & row : rows_) {
        if (row.lane == lane && row.position >= length) {
            row.lane = -1;
        }
    }
}

int32_t HiddenRows::take_shortest(int32_t lane) noexcept {
    return std::exchange(shortest_[static_cast<size_t>(lane)], INT32_MAX);
}

} // namespace pyrunner
