// Chooses the tokens of all rows of one decode: each lane's in order, several lanes at once where
// that pays. Engine thread only.
#pragma once

#include "sampler.h"
#include "step_buffers.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

struct llama_token_data;

namespace pyrunner {

class Model;
class Threadpool;

// What was chosen in one row that has an output.
struct Choice {
    const float * logits = nullptr; // in: null where none is asked for
    int32_t token = -1;             // -1: none was asked for, or none is left
    bool is_end = false;
    // For the logprobs, of a lane that has them: of the raw logits.
    float log_sum = 0.0F;
    std::vector<llama_token_data> likeliest;
};

// The rows of one lane, and how its tokens are chosen.
struct LaneRows {
    Sampler * sampler = nullptr;
    int32_t n_logprobs = -1; // -1: none
    bool is_running = false; // rows behind the first are a draft
    int32_t begin = 0;       // rows of the plan
    int32_t end = 0;
    size_t i_choice = 0;   // of the first row that has an output
    int32_t n_choices = 0; // rows that have one
    size_t i_mask = 0;     // of the first row that has one
    int32_t wrong = 0;     // in: `end`; out: the row of the first wrong guess, if there is one
    std::exception_ptr error;
};

class Chooser {
public:
    Chooser() noexcept;
    ~Chooser();
    Chooser(const Chooser &) = delete;
    Chooser & operator=(const Chooser &) = delete;

    // Both in the order of the plan's rows; the caller clears and fills them before choose(), and
    // reads them after it. `choices` only grows.
    std::vector<LaneRows> lanes;
    std::vector<Choice> choices;

    // On the threads of `pool` where that pays; what is chosen does not depend on it. Throws what
    // choosing for a lane threw, of the first such lane.
    void choose(const Model & model, const StepPlan & plan, Threadpool & pool);

private:
    using Candidates = std::vector<llama_token_data>; // scratch space of one thread

    int32_t n_workers(int32_t n_vocab, int32_t n_threads) const noexcept;
    void choose_lane(const Model & model,
                     const StepPlan & plan,
                     LaneRows & lane,
                     Candidates & candidates);

    std::vector<Candidates> candidates_;
    std::atomic<size_t> i_next_{0}; // lane that nobody has taken
};

} // namespace pyrunner
