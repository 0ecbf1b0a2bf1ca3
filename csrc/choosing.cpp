#include "choosing.h"

#include "backend.h"
#include "logits.h"
#include "model.h"
#include "token_mask.h"

#include <algorithm>

#include "llama.h"

namespace pyrunner {

namespace {

// In the unit of Sampler::cost(), for all rows and tokens of the vocabulary: 1 ms. The threads take
// 0.02 ms to begin and to wait for each other, but 15 ms where one has lost its core to somebody
// else, a risk that a part of a millisecond is not worth.
constexpr int64_t kMinSharedCost = 2'500'000;
constexpr int64_t kCostOfLogprobs = 2;

} // namespace

// Out of line: llama_token_data is complete only here.
Chooser::Chooser() noexcept = default;
Chooser::~Chooser() = default;

int32_t Chooser::n_workers(int32_t n_vocab, int32_t n_threads) const noexcept {
    int32_t n_busy_lanes = 0;
    int64_t cost = 0;
    for (const LaneRows & lane : lanes) {
        if (lane.sampler == nullptr || lane.n_choices == 0) {
            continue;
        }
        const int64_t cost_of_logprobs = lane.n_logprobs < 0 ? 0 : kCostOfLogprobs;
        cost += (lane.sampler->cost() + cost_of_logprobs) * lane.n_choices * n_vocab;
        n_busy_lanes++;
    }
    return cost < kMinSharedCost ? 1 : std::max(1, std::min(n_busy_lanes, n_threads));
}

void Chooser::choose(const Model & model, const StepPlan & plan, Threadpool & pool) {
    const int32_t n = n_workers(model.n_vocab(), pool.n_threads());
    if (candidates_.size() < static_cast<size_t>(n)) {
        candidates_.resize(static_cast<size_t>(n));
    }
    i_next_ = 0;
    const auto work = [&](int32_t i_thread) noexcept {
        for (size_t i = i_next_++; i < lanes.size(); i = i_next_++) {
            try {
                choose_lane(model, plan, lanes[i], candidates_[static_cast<size_t>(i_thread)]);
            } catch (...) {
                lanes[i].error = std::current_exception();
            }
        }
    };
    pool.run(n, work);
    for (const LaneRows & lane : lanes) {
        if (lane.error != nullptr) {
            std::rethrow_exception(lane.error);
        }
    }
}

void Chooser::choose_lane(const Model & model,
                          const StepPlan & plan,
                          LaneRows & lane,
                          Candidates & candidates) {
    const int32_t n_vocab = model.n_vocab();
    size_t i_choice = lane.i_choice;
    size_t i_mask = lane.i_mask;
    int32_t chosen = -1; // for the row before
    for (int32_t i = lane.begin; i < lane.end; i++) {
        const auto row = static_cast<size_t>(i);
        if (lane.is_running && i > lane.begin && chosen != plan.tokens[row]) {
            lane.wrong = i;
            return;
        }
        if (plan.outputs[row] == kRowSilent) {
            continue;
        }
        Choice & choice = choices[i_choice++];
        if (choice.logits == nullptr) {
            continue;
        }
        if (lane.n_logprobs >= 0) {
            const int32_t n = std::min(lane.n_logprobs, n_vocab);
            choice.log_sum = top_k_and_log_sum(choice.logits, n_vocab, n, choice.likeliest);
        }
        TokenMask mask;
        if (plan.outputs[row] == kRowMasked) {
            const auto n_words = static_cast<size_t>(n_mask_words(n_vocab));
            mask = TokenMask(plan.masks.get() + i_mask++ * n_words);
        }
        choice.token = lane.sampler->sample(choice.logits, mask, candidates);
        choice.is_end = choice.token >= 0 && model.is_end_of_generation(choice.token);
        // Behind an end there is nothing, even where the draft has the same token.
        chosen = choice.is_end ? -1 : choice.token;
    }
}

} // namespace pyrunner
