// Owns one llama_context for generation: lanes, the step, lent logits. One thread (the engine's)
// calls everything except interrupt().
#pragma once

#include "adapter.h"
#include "backend.h"
#include "choosing.h"
#include "hidden_rows.h"
#include "lane_blob.h"
#include "model.h"
#include "sampler.h"
#include "status.h"
#include "step_buffers.h"
#include "text.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct llama_context;

namespace pyrunner {

struct SessionParams {
    int32_t n_ctx = 4096;  // tokens per lane; llama.cpp rounds it up
    int32_t n_lanes = 1;   // 1..256
    int32_t n_batch = 512; // rows of one part of a step; also the ubatch
    int32_t n_threads = 1;
    int32_t type_k = 1; // of the cells: a ggml_type for which kv_is_type()
    int32_t type_v = 1;
    int32_t flash_attention = -1; // -1 llama.cpp decides, 0 off, 1 on
    int32_t n_drafts = 0;         // rows of running lanes beyond one for each, in one step
};

// What makes a lane an open one, beside its cells: how its tokens are chosen and become text.
struct OpenLane {
    std::unique_ptr<Sampler> sampler; // null: closed
    Utf8Holdback text;
    std::vector<int32_t> preserved_tokens; // control tokens that are shown, sorted
    int32_t n_logprobs = -1;

    bool is_open() const noexcept { return sampler != nullptr; }
    // Forgets everything, after it has appended what the text state still holds back.
    void close(std::string & out);
};

// Whether any tail of a lane can be dropped. Recurrent state cannot go back, and a sliding window
// has forgotten what stood before it.
bool drops_tails(const Model & model);
// Whether wrong guesses can be dropped right behind the step that read them: also from a sliding
// window, if all lanes with guesses have equally many. llama.cpp reads the first row of each lane
// in one pass then, or all rows, and in another the rest; a pass overwrites only cells that are out
// of the window of its own first row, and what is chosen behind a wrong guess is no earlier. Where
// windows are chunks (llama4) it takes more: llama.cpp plans both passes before the first, and then
// takes what they will overwrite out of the lane. That the first row misses none of it follows from
// the room for a window's cells, which are n_batch more than the window.
bool drops_guesses(const Model & model);

class Session {
public:
    explicit Session(const Model & model) noexcept;
    ~Session();
    Session(const Session &) = delete;
    Session & operator=(const Session &) = delete;

    // Allocates the context: KV memory is touched here. kOutOfMemory, kUnsupported (an encoder
    // model, or no KV memory) or kLoadFailed with error(), as when llama.cpp refuses the types.
    Status open(const SessionParams & params) noexcept;
    const std::string & error() const noexcept { return error_; }

    int32_t n_ctx() const noexcept { return n_ctx_; } // tokens one lane really holds
    int32_t n_lanes() const noexcept { return params_.n_lanes; }
    int32_t n_batch() const noexcept { return params_.n_batch; }
    int32_t n_rows_max() const noexcept {
        return params_.n_batch + n_lanes_max_ + params_.n_drafts;
    }
    int32_t n_running_max() const noexcept { return params_.n_lanes + params_.n_drafts; }
    int32_t n_mask_words() const noexcept; // of one mask in a plan
    size_t n_masks_max() const noexcept {  // rows of a step with outputs at most
        return static_cast<size_t>(2 * n_lanes_max_ + params_.n_drafts);
    }

    // Two plans: begin() takes plan_at(i_plan()) and makes the other one current, so that a plan
    // can be written while a step runs. Their memory never moves after open().
    StepPlan & plan_at(int i_plan) noexcept { return plans_[i_plan]; }
    int32_t * masks_at(int i_plan) noexcept { return plans_[i_plan].masks.get(); }
    int i_plan() const noexcept { return i_plan_; }
    // What the last finish() produced; overwritten by the finish() after the next.
    const StepResult & result() const noexcept { return results_[i_result_]; }

    // Checks the current plan and runs the first of its two forward passes, that of running rows.
    // kBadArgument (nothing has happened), kNoRoom (plan and cells are as before, the logits of the
    // last step are gone), kDecodeFailed (lanes hold what lane_length() says).
    Status begin(int32_t n_decode, int32_t n_chunk) noexcept;
    // Samples, turns tokens into text, and runs the second pass, that of the chunk. kAborted when
    // interrupt() stopped it: lane_length() says what was kept, and it has no outputs. The rows of
    // running sequences are never aborted.
    Status finish() noexcept;
    // Any thread: stop the prompt chunk that is being read, or the next one if none is. Sticky
    // until a chunk has seen it, so that a cancel between plan and chunk is not lost. Models with
    // recurrent state read the chunk to its end.
    void interrupt() noexcept { is_interrupted_ = true; }

    // From the next step on; null is the model alone. The adapter is loaded, of this session's
    // model, and outlives its use here. Another one than before makes the next step plan its graphs
    // anew.
    Status set_adapter(const Adapter * adapter) noexcept;
    // From the next step on, 1..512.
    Status set_threads(int32_t n_threads) noexcept;
    // Gives the threads to another context, which computes between the steps of this one and is
    // freed before it: threads of its own would have to wait for the same cores.
    void lend_threads(llama_context * context) const noexcept;
    const Model & model() const noexcept { return model_; }
    const SessionParams & params() const noexcept { return params_; } // of the layout there is
    // Whether draft heads may guess: the model was loaded with some, and there may be drafts.
    bool keeps_hidden() const noexcept {
        return params_.n_drafts > 0 && model_.n_draft_heads() > 0;
    }
    // The one there is now: set_layout() makes another one. For what drafts beside it.
    llama_context * context() const noexcept { return context_; }
    // Of the last step, and what became of the lanes since; empty unless it keeps them.
    HiddenRows & hidden_rows() noexcept { return hidden_; }

    // Lanes change between steps only: from begin() to finish() all of these are kBadArgument.
    // Prepares a lane for a new sequence: its sampler and its text state; cells are untouched.
    // `n_logprobs`: -1 for none, or how many of the likeliest tokens beside each chosen one, up to
    // kMaxLogprobs.
    Status open_lane(int32_t lane,
                     const SamplerParams & params,
                     const std::vector<int32_t> & bias_tokens,
                     const std::vector<float> & biases,
                     const std::vector<int32_t> & history,
                     const std::vector<int32_t> & preserved_tokens,
                     int32_t n_logprobs) noexcept;
    // Appends what the lane's text state still holds back; then forgets sampler and text state.
    Status close_lane(int32_t lane, std::string & text) noexcept;
    Status clear_lane(int32_t lane) noexcept;
    Status truncate_lane(int32_t lane, int32_t n_keep) noexcept;
    // Moves cells, sampler and text state; `to` must be closed, and is cleared first.
    Status move_lane(int32_t from, int32_t to) noexcept;
    // Copies the cells of a lane into `blob`, which is resized, and back into any closed lane,
    // whose cells are lost; an error leaves it empty. The blob is of this session, or of another
    // one of the same model and types of cells; `n_lanes` is that of the layout it was saved in.
    // kUnsupported: this memory type cannot travel, or not to another layout.
    Status save_lane(int32_t lane, LaneBlob & blob) noexcept;
    Status restore_lane(int32_t lane, const LaneBlob & blob, int32_t n_lanes) noexcept;
    // Takes from an open lane what makes it one, so that it is closed, and gives it to a closed
    // lane; cells are untouched.
    Status detach_lane(int32_t lane, OpenLane & out) noexcept;
    Status attach_lane(int32_t lane, OpenLane & from) noexcept;
    // Makes the context anew with other lanes, all of which are closed before and empty after:
    // `n_ctx` tokens in each of 1..as many as at open(). On an error there is no context, and
    // nothing but another set_layout works.
    Status set_layout(int32_t n_ctx, int32_t n_lanes) noexcept;
    bool drops_tails() const noexcept { return drops_tails_; }
    bool drops_guesses() const noexcept { return drops_guesses_; } // else there can be none
    size_t lanes_bytes() const noexcept;              // of the cells of all lanes, used or not
    int32_t lane_length(int32_t lane) const noexcept; // -1 when out of range

    // Row of `n_vocab` logits of the i-th output of the last step, or null: before finish(), and
    // for running rows when the same step also read a chunk.
    const float * logits(int32_t i_output) noexcept;

private:
    Status make_context(); // as params_ say; kOutOfMemory, kUnsupported, kLoadFailed
    void use_adapter();
    bool splits_blocks(int32_t type_k);
    bool is_lane(int32_t lane) const noexcept {
        return context_ != nullptr && lane >= 0 && lane < params_.n_lanes;
    }
    bool is_valid_part(const StepPlan & plan, int32_t begin, int32_t end, bool is_running) const;
    static bool has_even_drafts(const StepPlan & plan, int32_t n_decode);
    int decode(const StepPlan & plan, int32_t begin, int32_t end);
    void keep_hidden(const StepPlan & plan, int32_t begin, int32_t end);
    // Less than it held, or other tokens, which are filled in afterwards.
    void set_length(int32_t lane, int32_t length) noexcept;
    bool collect(const StepPlan & plan, int32_t begin, int32_t end, bool is_running);
    void list_lanes(const StepPlan & plan, int32_t begin, int32_t end, bool is_running);
    void add_output(int32_t i_lane, const Choice & choice);
    void emit(OpenLane & lane, const Choice & choice, StepResult & result);
    void add_logprobs(const Choice & choice, StepResult & result);
    static bool on_abort(void * self);

    const Model & model_;
    SessionParams params_;    // n_ctx and n_lanes: of the layout
    int32_t n_lanes_max_ = 0; // at open(); the buffers are as large
    int32_t n_ctx_ = 0;
    bool drops_tails_ = false;
    bool drops_guesses_ = false;
    llama_context * context_ = nullptr;
    const Adapter * adapter_ = nullptr;
    Threadpools threadpools_;
    std::string error_;

    StepPlan plans_[2];
    StepResult results_[2];
    int i_plan_ = 0;
    int i_result_ = 0;
    int32_t n_decode_ = 0; // of the step between begin() and finish()
    int32_t n_chunk_ = 0;
    bool is_begun_ = false;
    size_t i_mask_ = 0; // of the next row that has one

    std::vector<OpenLane> lanes_;
    std::vector<int32_t> lengths_; // tokens per lane, kept beside llama.cpp's to check plans
    HiddenRows hidden_;
    Chooser chooser_;
    std::vector<int32_t> output_rows_; // batch row of each output of the last decode
    int32_t i_first_output_ = 0;       // index of the first of them among the step's outputs
    std::vector<int32_t> n_seq_ids_;   // all ones; llama_batch wants it
    std::vector<int32_t *> seq_ids_;
    std::string piece_;

    std::atomic<bool> is_interrupted_{false};
    bool is_chunk_running_ = false; // the abort callback spares running sequences
};

} // namespace pyrunner
